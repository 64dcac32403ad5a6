import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { after, describe, it } from 'node:test'
import type { HttpConfig } from '#src/config/config.js'
import { startHttp } from '#src/http/server.js'
import { type UpgradeRoute, UpgradeRoutes } from '#src/upgrade-routes.js'
import { askRaw } from './client.js'
import { fakeView, httpConfig, partsOf, recordingLog, serve } from './fake-view.js'

const directory = mkdtempSync(join(tmpdir(), 'tapswitch-upgrade-'))
after(() => rmSync(directory, { recursive: true }))
const token = '0123456789abcdef0123456789abcdef'
const tokenFile = join(directory, 'token')
writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 })

/** Answers with the address it was given and what it was told of the token. */
const echo: UpgradeRoute = {
  allowedOrigins: ['http://lab.example:8080'],
  access: 'control',
  maxConnections: 10,
  handle: (_request, socket, _head, { token }) => {
    socket.end(`HTTP/1.1 101 Switching Protocols\r\nupgrade: test\r\nconnection: upgrade\r\n\r\ntoken=${token}`)
  },
}

async function withServer(
  more: Partial<HttpConfig>,
  test: (ask: (path: string, headers?: Record<string, string>) => Promise<string>, routes: UpgradeRoutes) => unknown,
): Promise<void> {
  const upgrades = new UpgradeRoutes()
  const config = httpConfig('127.0.0.1:0', more)
  const server = await startHttp({ ...partsOf(fakeView()), config, log: recordingLog(), upgrades })
  try {
    await test((path, headers = {}) => {
      const all = { host: 'localhost', connection: 'upgrade', upgrade: 'websocket', ...headers }
      const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
      return askRaw(server.url, `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
    }, upgrades)
  } finally {
    await server.close()
  }
}

describe('an upgrade', () => {
  it('reaches the route of its path, whatever its query, while the route is registered', () =>
    withServer({}, async (ask, routes) => {
      assert.match(await ask('/wire'), /^HTTP\/1\.1 404 /)
      const unregister = routes.register('/wire', echo)
      assert.match(await ask('/wire?x=1'), /^HTTP\/1\.1 101 /)
      assert.throws(() => routes.register('/wire', echo), /taken/)
      unregister()
      assert.match(await ask('/wire'), /^HTTP\/1\.1 404 .*"code":"not-found"/s)
    }))

  it('is refused from another Host, and from another Origin but those the route allows', () =>
    withServer({}, async (ask, routes) => {
      routes.register('/wire', echo)
      assert.match(await ask('/wire', { host: 'evil.example' }), /^HTTP\/1\.1 421 .*"code":"wrong-host"/s)
      assert.match(await ask('/wire', { origin: 'http://evil.example' }), /^HTTP\/1\.1 403 .*"code":"wrong-origin"/s)
      assert.match(await ask('/wire', { origin: 'http://lab.example:8080' }), /^HTTP\/1\.1 101 /)
      assert.match(await ask('/wire', { origin: 'http://localhost' }), /^HTTP\/1\.1 101 /)
    }))

  it('needs the token where one is set, unless the route checks its own', () => {
    const tokens = [{ name: 'token', role: 'control', token: { file: tokenFile }, expires: null }] as const
    return withServer({ anonymous: 'none', tokens }, async (ask, routes) => {
      routes.register('/wire', echo)
      routes.register('/own', { ...echo, access: 'own' })
      assert.match(await ask('/wire'), /^HTTP\/1\.1 401 .*www-authenticate: Bearer/s)
      assert.match(await ask('/nothing'), /^HTTP\/1\.1 401 /)
      assert.match(await ask('/wire', { authorization: `Bearer ${token}` }), /^HTTP\/1\.1 101 /)
      assert.match(await ask('/own'), /^HTTP\/1\.1 101 .*token=undefined/s)
      assert.match(await ask('/own', { authorization: 'Bearer mine' }), /token=mine/)
    })
  })

  it('that a route fails at is closed, and the server goes on', () =>
    withServer({}, async (ask, routes) => {
      routes.register('/broken', {
        ...echo,
        handle: () => {
          throw new Error('a fault')
        },
      })
      assert.equal(await ask('/broken'), '')
      routes.register('/wire', echo)
      assert.match(await ask('/wire'), /^HTTP\/1\.1 101 /)
    }))

  it('ends with the server, after the route was told', async () => {
    let closing = 0
    let ended: Promise<string> | undefined
    await withServer({}, async (ask, routes) => {
      const taken = new Promise<Duplex>(resolve => {
        routes.register('/wire', {
          ...echo,
          handle: (_request, socket) => resolve(socket),
          closing: () => {
            closing++
          },
        })
      })
      ended = ask('/wire')
      await taken
    })
    assert.equal(await ended, '')
    assert.equal(closing, 1)
  })

  it('may end its path with a slash, as every other route', () =>
    withServer({}, async (ask, routes) => {
      routes.register('/wire', echo)
      assert.match(await ask('/wire/'), /^HTTP\/1\.1 101 /)
    }))
})

describe('an offer of another protocol than WebSocket', () => {
  const offer = {
    connection: 'Upgrade, HTTP2-Settings, close',
    upgrade: 'h2c',
    'http2-settings': 'AAMAAABkAAQCAAAAAAIAAAAA',
  }

  it('is ignored: the request is answered, on every route', () =>
    withServer({}, async (ask, routes) => {
      routes.register('/wire', echo)
      assert.match(await ask('/healthz', offer), /^HTTP\/1\.1 200 .*ok$/s)
      assert.match(await ask('/v1/ports?x=1', offer), /^HTTP\/1\.1 400 .*"invalid-request"/s)
      assert.match(await ask('/wire', offer), /^HTTP\/1\.1 404 .*"not-found"/s)
      assert.match(await ask('/v1/ports', { ...offer, host: 'evil.example' }), /^HTTP\/1\.1 421 /)
    }))

  it('leaves the body, and the requests that follow on the connection, as they are', async () => {
    const server = await serve(fakeView(), '127.0.0.1:0', recordingLog())
    try {
      const head = 'Host: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n'
      const body = '{"name": 1}'
      const { hostname, port } = new URL(server.url)
      const socket = createConnection({ host: hostname, port: Number(port) })
      const answer = async (request: string) => {
        socket.write(request)
        return String((await once(socket, 'data'))[0])
      }
      const patch = `PATCH /v1/switch HTTP/1.1\r\n${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
      assert.match(await answer(`${patch}${body}`), /^HTTP\/1\.1 400 .*name: /s)
      assert.match(await answer(`GET /healthz HTTP/1.1\r\n${head}\r\n`), /^HTTP\/1\.1 200 /)
      assert.match(await answer('GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n'), /^HTTP\/1\.1 200 /)
      socket.destroy()
    } finally {
      await server.close()
    }
  })

  it('ends the connection when it comes before the answer to the request before it', async () => {
    const server = await serve(fakeView(), '127.0.0.1:0', recordingLog())
    try {
      const one = 'GET /v1/ports HTTP/1.1\r\nHost: localhost\r\n'
      const answers = await askRaw(server.url, `${one}\r\n${one}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`)
      assert.ok([...answers.matchAll(/HTTP\/1\.1 /g)].length <= 1)
    } finally {
      await server.close()
    }
  })

  it('is ignored a few times on one connection; the answer then says that it is the last one', async () => {
    const server = await serve(fakeView(), '127.0.0.1:0', recordingLog())
    const warnings: Error[] = []
    const remember = (warning: Error) => warnings.push(warning)
    process.on('warning', remember)
    try {
      const { hostname, port } = new URL(server.url)
      const socket = createConnection({ host: hostname, port: Number(port) })
      const closed = once(socket, 'close')
      let answers = 0
      const ask = () =>
        socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
      socket.on('data', (bytes: Buffer) => {
        assert.match(String(bytes), /^HTTP\/1\.1 200 /)
        answers++
        if (/^connection: close\r$/im.test(String(bytes))) socket.end()
        else if (answers < 50) ask()
      })
      ask()
      await closed
      assert.equal(answers, 8)
      assert.deepEqual(warnings, [])
    } finally {
      process.off('warning', remember)
      await server.close()
    }
  })
})

describe('a request with more headers than Node.js lists by default', () => {
  it('is checked by all of them', async () => {
    const server = await serve(fakeView(), '127.0.0.1:0', recordingLog())
    try {
      const many = 'a:\r\n'.repeat(2500)
      const request = `GET /v1/ports HTTP/1.1\r\nHost: localhost\r\n${many}Origin: http://evil.example\r\n`
      assert.match(await askRaw(server.url, `${request}Connection: close\r\n\r\n`), /^HTTP\/1\.1 403 .*"wrong-origin"/s)
    } finally {
      await server.close()
    }
  })
})
