import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createConnection, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { OperatorError } from '#src/errors.js'
import { isOffLoopback, parseListen } from '#src/http/listen.js'
import { ask } from './client.js'
import { fakeView, recordingLog, serve } from './fake-view.js'

const directory = mkdtempSync(join(tmpdir(), 'tapswitch-http-'))
after(() => rmSync(directory, { recursive: true }))

const start = (listen: string) => serve(fakeView(), listen, recordingLog())

function refuses(listen: string, why: RegExp): Promise<void> {
  return assert.rejects(start(listen), error => {
    assert.ok(error instanceof OperatorError, String(error))
    assert.match(error.message, why)
    assert.match(error.message, /^http\.listen: .*[^.\n]$/)
    return true
  })
}

async function listenAt(server: Server, where: string | { port: number; host: string }): Promise<Server> {
  server.listen(where)
  await once(server, 'listening')
  return server
}

describe('parseListen', () => {
  it('takes loopback addresses and absolute paths', () => {
    assert.deepEqual(parseListen('127.0.0.1:9676'), { host: '127.0.0.1', port: 9676 })
    assert.deepEqual(parseListen('127.1.2.3:0'), { host: '127.1.2.3', port: 0 })
    assert.deepEqual(parseListen('[::1]:9676'), { host: '::1', port: 9676 })
    assert.deepEqual(parseListen('localhost:80'), { host: '127.0.0.1', port: 80 })
    assert.deepEqual(parseListen('/run/tapswitch/http.sock'), { path: '/run/tapswitch/http.sock' })
  })

  for (const listen of [
    '',
    '9676',
    ':9676',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '::1:9676',
    '[127.0.0.1]:1',
    'a.sock',
  ]) {
    it(`refuses "${listen}"`, () => {
      assert.throws(() => parseListen(listen), { name: 'OperatorError', message: /^http\.listen: .* HOST:PORT/ })
    })
  }

  it('tells what others can reach', () => {
    for (const listen of ['0.0.0.0:9676', '192.168.1.1:80', '[::]:80', 'example.com:80', '127.0.0.1.example.com:80']) {
      assert.ok(isOffLoopback(parseListen(listen)), listen)
    }
    for (const listen of ['127.0.0.1:9676', '[::1]:80', 'localhost:80', '/run/http.sock']) {
      assert.ok(!isOffLoopback(parseListen(listen)), listen)
    }
  })
})

describe('startHttp', () => {
  it('listens on a free port of 127.0.0.1 and lets go of it', async () => {
    const server = await start('127.0.0.1:0')
    assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+$/)
    assert.equal((await ask(server.url, '/healthz')).status, 200)
    await server.close()
    await assert.rejects(ask(server.url, '/healthz'), { code: 'ECONNREFUSED' })
    const again = await start(new URL(server.url).host)
    assert.equal(again.url, server.url)
    await again.close()
  })

  it('listens on ::1', async t => {
    const probe = createServer()
    const hasIPv6 = await listenAt(probe, { port: 0, host: '::1' }).then(
      () => true,
      () => false,
    )
    probe.close()
    if (!hasIPv6) return t.skip('this machine has no ::1')
    const server = await start('[::1]:0')
    assert.match(server.url, /^http:\/\/\[::1\]:\d+$/)
    assert.equal((await ask(server.url, '/healthz')).status, 200)
    await server.close()
  })

  it('closes although a client holds its connection open', async () => {
    const server = await start('127.0.0.1:0')
    const kept = await fetch(`${server.url}/healthz`)
    assert.equal(await kept.text(), 'ok')
    await server.close()
  })

  it('closes although a client never ends its request', { timeout: 4000 }, async () => {
    const server = await start('127.0.0.1:0')
    const { hostname, port } = new URL(server.url)
    const slow = createConnection({ host: hostname, port: Number(port) })
    const closed = once(slow, 'close')
    await once(slow, 'connect')
    slow.write('GET /healthz HTTP/1.1\r\nhost: loc')
    // Connections are accepted in order, so the server knows the slow one once it has answered this.
    assert.equal((await ask(server.url, '/healthz')).status, 200)
    await server.close()
    await closed
  })

  it('refuses a port in use with one sentence', async () => {
    const other = await listenAt(createServer(), { port: 0, host: '127.0.0.1' })
    const { port } = other.address() as { port: number }
    await refuses(`127.0.0.1:${port}`, new RegExp(`127\\.0\\.0\\.1:${port} is in use by another program`))
    other.close()
  })

  it('makes a socket of its own, 0600 whatever the umask, and removes it', async () => {
    const path = join(directory, 'own.sock')
    const before = process.umask(0)
    const server = await start(path)
    assert.equal(process.umask(before), 0)
    assert.equal(server.url, `unix:${path}`)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.equal((await ask(server.url, '/healthz')).body, 'ok')
    await server.close()
    assert.equal(existsSync(path), false)
  })

  it('replaces a socket file that nobody serves', async () => {
    const path = join(directory, 'stale.sock')
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    await once(spawn(process.execPath, ['-e', script]), 'exit')
    assert.ok(statSync(path).isSocket())
    const server = await start(path)
    assert.equal((await ask(server.url, '/healthz')).status, 200)
    await server.close()
  })

  it('refuses a socket that another program serves, and leaves it alone', async () => {
    const path = join(directory, 'live.sock')
    const other = await listenAt(createServer(), path)
    await refuses(path, /another program is listening on/)
    assert.ok(statSync(path).isSocket())
    other.close()
  })

  it('refuses a file that is no socket, and leaves it alone', async () => {
    const path = join(directory, 'precious')
    writeFileSync(path, 'data')
    await refuses(path, /exists and is not a socket/)
    assert.equal(statSync(path).size, 4)
  })

  it('refuses a path in a directory that does not exist', () =>
    refuses(join(directory, 'missing/http.sock'), /there is no directory .*missing/))

  it('refuses a path longer than a socket address holds', () =>
    refuses(`/${'x'.repeat(120)}`, /is 121 bytes long, a socket path may have 10[37]/))
})
