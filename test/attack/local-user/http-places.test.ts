/**
 * A local user without a token opens as many connections to the API as he can and keeps them: idle, refused, half a
 * request. A client with the token and a probe go on being answered.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type HttpServer, startHttp } from '#src/http/server.js'
import { ask } from '../../unit/http/client.js'
import { fakeView, httpConfig, partsOf, recordingLog } from '../../unit/http/fake-view.js'

const CONNECTIONS = 400
const token = 'a-token-that-is-long-enough'

describe('400 connections without a token', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tapswitch-places-'))
  const held: Socket[] = []
  let server: HttpServer
  before(async () => {
    writeFileSync(join(directory, 'token'), token, { mode: 0o600 })
    const tokens = [{ name: 'ops', role: 'control', token: { file: join(directory, 'token') }, expires: null }] as const
    server = await startHttp({
      ...partsOf(fakeView()),
      config: httpConfig('127.0.0.1:0', { tokens }),
      log: recordingLog(),
    })
  })
  after(async () => {
    for (const socket of held) socket.destroy()
    await server.close()
    rmSync(directory, { recursive: true })
  })

  for (const [what, bytes] of [
    ['that say nothing', ''],
    ['that ask and are refused', 'GET /v1/ports HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['that ask for a probe', 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    [
      'that offer another protocol with a probe',
      'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
    ],
    ['that send half a header', 'GET /v1/ports HTTP/1.1\r\nHost: localhost\r\n'],
  ] as const) {
    it(`${what} keep neither a client with the token nor a probe out`, async () => {
      const { hostname, port } = new URL(server.url)
      await Promise.all(
        Array.from({ length: CONNECTIONS }, async () => {
          const socket = connect({ host: hostname, port: Number(port) })
          socket.on('error', () => {})
          held.push(socket)
          await once(socket, 'connect')
          socket.write(bytes)
          socket.resume()
        }),
      )
      for (let i = 0; i < 20; i++) {
        assert.equal((await ask(server.url, '/readyz')).status, 200)
        const headers = { authorization: `Bearer ${token}` }
        assert.equal((await ask(server.url, '/v1/ports', { headers })).status, 200)
      }
    })
  }

  it('that are refused are closed', async () => {
    const answer = await ask(server.url, '/v1/ports', { headers: { connection: 'keep-alive' } })
    assert.equal(answer.status, 401)
    assert.equal(answer.headers.connection, 'close')
  })
})
