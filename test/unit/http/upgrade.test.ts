import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { after, describe, it } from 'node:test'
import type { HttpConfig } from '#src/config/config.js'
import { startHttp } from '#src/http/server.js'
import { type UpgradeRoute, UpgradeRoutes } from '#src/upgrade-routes.js'
import { askRaw } from './client.js'
import { fakeView, httpConfig, partsOf, recordingLog } from './fake-view.js'

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
      const all = { host: 'localhost', connection: 'upgrade', upgrade: 'test', ...headers }
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
    return withServer({ tokens }, async (ask, routes) => {
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
})
