/**
 * The holder of a control token tries to reach what the switch can reach: files, variables, sockets and services of the
 * host.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Api, type Reply } from '../../support/api.js'
import { Lab } from '../../support/lab.js'
import type { SwitchProcess } from '../../support/switch-process.js'

const secret = 'a-secret-of-the-process-0123456789'

/** What listens, and how many connections it saw. */
class Victim {
  connections = 0
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', socket => {
      this.connections++
      socket.destroy()
    })
  }

  static async listen(where: { path: string } | { host: string; port: number }): Promise<Victim> {
    const server = createServer()
    const victim = new Victim(server)
    await new Promise<void>(resolve => server.listen(where, resolve))
    return victim
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  close(): void {
    this.#server.close()
  }
}

describe('a control token', { timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let api: Api
  let elsewhere: string
  /** A socket that trusts whoever may connect, as that of a container engine does. */
  let engine: Victim
  let collector: Victim

  before(async () => {
    lab = await Lab.open()
    elsewhere = await mkdtemp(join(tmpdir(), 'tapswitch-victim-'))
    engine = await Victim.listen({ path: join(elsewhere, 'engine.sock') })
    collector = await Victim.listen({ host: '127.0.0.1', port: 0 })
    writeFileSync(join(elsewhere, 'secret'), secret, { mode: 0o600 })
    running = await lab.startSwitch({ transports: [] }, { env: { PROCESS_SECRET: secret } })
    api = new Api(running.url)
  })
  after(async () => {
    engine?.close()
    collector?.close()
    await lab?.close()
    await rm(elsewhere, { recursive: true, force: true })
  })

  const add = (entry: object) => api.post('/v1/transports', { name: 'evil', ...entry })

  function assertConfined({ status, json, body }: Reply, option: RegExp): void {
    assert.equal(status, 403, body)
    assert.equal(json.code, 'confined')
    assert.match(json.detail, option)
    assert.ok(!body.includes(secret))
  }

  it('sends no file and no variable of the process anywhere', async () => {
    const dial = { type: 'websocket', connect: `ws://127.0.0.1:${collector.port}/` }
    assertConfined(await add({ ...dial, token: { file: join(elsewhere, 'secret') } }), /http\.secretsDir/)
    assertConfined(await add({ ...dial, token: { file: lab.path('control.token') } }), /http\.secretsDir/)
    assertConfined(await add({ ...dial, token: { env: 'PROCESS_SECRET' } }), /environment variables/)
    assert.equal(collector.connections, 0)
  })

  it('speaks to no socket outside of the runtime directory', async () => {
    const path = join(elsewhere, 'engine.sock')
    assertConfined(await add({ type: 'stream', connect: path }), /http\.allowedPaths/)
    assertConfined(await add({ type: 'unixgram', connect: { local: 'x.sock', remote: path } }), /http\.allowedPaths/)
    assertConfined(await add({ type: 'stream', connect: '../engine.sock' }), /"\.\."/)
    assert.equal(engine.connections, 0)
  })

  it('makes no socket outside of the runtime directory, and reads no certificate there', async () => {
    assertConfined(await add({ type: 'unixgram', listen: join(elsewhere, 'new.sock') }), /http\.allowedPaths/)
    const tls = { certificate: join(elsewhere, 'secret'), key: join(elsewhere, 'secret') }
    assertConfined(await add({ type: 'websocket', listen: '127.0.0.1:0/x', tls }), /http\.allowedPaths/)
  })

  it('dials, sends to and listens on nothing off loopback', async () => {
    for (const entry of [
      { type: 'stream', connect: '192.0.2.1:80' },
      { type: 'websocket', connect: 'ws://192.0.2.1/latest/meta-data' },
      { type: 'udp', listen: '127.0.0.1:0', peers: ['192.0.2.1:53'] },
      { type: 'vxlan', vni: 1, listen: '127.0.0.1:14789', remotes: ['192.0.2.1'] },
      { type: 'udp', listen: '127.0.0.1:0', learnPeers: true, allowedSources: ['0.0.0.0/0'] },
      { type: 'stream', listen: '0.0.0.0:0', allowRemote: true },
    ]) {
      assertConfined(await add(entry), /http\.allowedTargets/)
    }
  })

  it('chooses no framing, takes no descriptor, and adds no interface into the network of the host', async () => {
    const spelled = { type: 'stream', connect: `127.0.0.1:${collector.port}`, framing: 'hyperkit' }
    assertConfined(await add(spelled), /configuration file only/)
    assertConfined(await add({ type: 'fd', fd: 5 }), /configuration file only/)
    const tap = { name: 'evil', type: 'tap', mode: 'shared', address: '10.99.0.1/24' }
    assertConfined(await api.post('/v1/interfaces', tap), /http\.allowedInterfaces/)
    const host = { name: 'evil', type: 'slirp', hostLoopback: true }
    assertConfined(await api.post('/v1/interfaces', host), /configuration file only/)
    assert.equal(collector.connections, 0)
  })

  it('leaves nothing of a refusal, and saves what was allowed as it was asked for', async () => {
    assert.deepEqual((await api.get('/v1/transports')).json.transports, [])
    const added = await api.post('/v1/transports', { name: 'vms', type: 'unixgram', listen: 'vms.sock' })
    assert.equal(added.status, 201, added.body)
    assert.equal((await api.post('/v1/config/save')).status, 200)
    const { transports, http } = JSON.parse(readFileSync(running.file, 'utf8'))
    assert.deepEqual(transports, [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }])
    assert.deepEqual(http, { listen: '127.0.0.1:0' })
  })

  it('gets what the configuration file allows', async () => {
    const open = await Lab.open()
    try {
      const config = {
        allowedPaths: [elsewhere],
        secretsDir: elsewhere,
        allowedTargets: ['192.0.2.0/24'],
      }
      const { url } = await open.startSwitch({ http: { listen: '127.0.0.1:0', ...config }, transports: [] })
      const allowed = new Api(url)
      const dial = { type: 'websocket', connect: 'ws://192.0.2.1:9/' }
      for (const entry of [
        { name: 'a', type: 'unixgram', listen: join(elsewhere, 'new.sock') },
        { name: 'b', ...dial, token: { file: join(elsewhere, 'secret') } },
      ]) {
        assert.equal((await allowed.post('/v1/transports', entry)).status, 201)
      }
    } finally {
      await open.close()
    }
  })
})
