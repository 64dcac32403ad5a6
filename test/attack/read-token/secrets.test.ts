/** The holder of a read token looks for secrets and traffic in everything that it may read. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { Api } from '../../support/api.js'
import { Lab } from '../../support/lab.js'
import type { SwitchProcess } from '../../support/switch-process.js'

const secrets = { query: 'query-secret-0123456789', file: 'file-secret-0123456789', reader: 'read-token-0123456789' }

describe('a read token', { timeout: 60_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let reader: Api
  const relay = createServer(socket => socket.destroy())

  before(async () => {
    relay.listen(0, '127.0.0.1')
    await once(relay, 'listening')
    lab = await Lab.open()
    for (const name of ['file', 'reader'] as const) writeFileSync(lab.path(name), secrets[name], { mode: 0o600 })
    const { port } = relay.address() as { port: number }
    running = await lab.startSwitch({
      http: {
        listen: '127.0.0.1:0',
        tokens: [{ name: 'reader', role: 'read', token: { file: lab.path('reader') } }],
      },
      transports: [
        {
          name: 'relay',
          type: 'websocket',
          connect: `ws://127.0.0.1:${port}/x?token=${secrets.query}`,
          token: { file: lab.path('file') },
        },
      ],
    })
    reader = new Api(running.url, secrets.reader)
    await running.logged(line => line.event === 'connect-failed')
  })
  after(async () => {
    relay.close()
    await lab?.close()
  })

  it('finds no secret in any answer, nor in the log', async () => {
    const paths = [
      '/v1/switch',
      '/v1/ports',
      '/v1/transports',
      '/v1/transports/relay',
      '/v1/interfaces',
      '/v1/findings',
    ]
    const answers = await Promise.all([...paths, '/metrics', '/v1/session'].map(path => reader.get(path)))
    for (const { status } of answers) assert.equal(status, 200)
    const control = new Api(running.url)
    const added = { name: 'b', type: 'websocket', connect: `ws://127.0.0.1:1/?key=${secrets.query}` }
    const made = await control.post('/v1/transports', added)
    assert.equal(made.status, 201)
    const wrong = await control.post('/v1/transports', { ...added, connect: `ws://me:${secrets.query}@127.0.0.1/#x` })
    assert.equal(wrong.status, 400)
    const seen = [...answers, made, wrong].map(({ body }) => body).join() + JSON.stringify(running.log) + running.output
    for (const [name, secret] of Object.entries(secrets)) assert.ok(!seen.includes(secret), name)
    assert.match(seen, /127\.0\.0\.1:\d+\/x\?…/, 'the address is shown')
  })

  it('sees no traffic, and makes no link for the page', async () => {
    assert.equal((await reader.get('/v1/capture?seconds=1')).status, 403)
    assert.equal((await reader.post('/v1/session/code')).status, 403)
    assert.equal((await new Api(running.url, null).get('/v1/switch')).status, 401, 'no token, where one is configured')
  })
})
