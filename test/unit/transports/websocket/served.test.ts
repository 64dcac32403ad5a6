import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, describe, it } from 'node:test'
import type { WebSocketListenConfig } from '#src/config/config.js'
import { type Role, WebSocketRig } from '../../../conformance/websocket-rig.js'
import { ALICE, BOB, BROADCAST, frame } from '../../../support/frames.js'
import { until } from '../../../support/until.js'
import { WebSocketPeer } from '../../../support/websocket-peer.js'
import { ask } from '../../http/client.js'

const SECRET = 'correct-horse-battery-staple'
const folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
const tokenFile = join(folder, 'token')
writeFileSync(tokenFile, SECRET, { mode: 0o600 })
after(() => rmSync(folder, { recursive: true }))

describe('a served WebSocket', () => {
  const rigs: WebSocketRig[] = []
  const peers: WebSocketPeer[] = []

  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.leave()
    for (const rig of rigs.splice(0)) await rig.stop()
  })

  async function serve(
    options: Partial<WebSocketListenConfig> = {},
    role: Role = 'own',
    apiTokens: Parameters<WebSocketRig['start']>[1] = [],
  ): Promise<WebSocketRig> {
    const rig = new WebSocketRig(role, { maxFrameSize: 1518, queueFrames: 512 })
    rigs.push(rig)
    await rig.start(options, apiTokens)
    return rig
  }

  async function connect(rig: WebSocketRig, options: Parameters<typeof WebSocketPeer.connect>[1] = {}) {
    const peer = await WebSocketPeer.connect(rig.url, options)
    peers.push(peer)
    return peer
  }

  const refused = (rig: WebSocketRig, status: number, options: Parameters<typeof WebSocketPeer.connect>[1] = {}) =>
    assert.rejects(connect(rig, options), new RegExp(`Unexpected server response: ${status}`))
  const clients = (rig: WebSocketRig) => rig.transport().facts?.().clients
  const dropped = (rig: WebSocketRig, reason: 'not-a-frame' | 'unauthorized' | 'peer-limit' | 'bad-length') =>
    until(() => rig.drops()[reason] > 0, `${reason} is counted`)

  /** Both are known to the switch. */
  async function pair(rig: WebSocketRig, options: Parameters<typeof WebSocketPeer.connect>[1] = {}) {
    const alice = await connect(rig, options)
    const bob = await connect(rig, options)
    await alice.send([frame(BROADCAST, ALICE)])
    await bob.receive(1)
    await bob.send([frame(ALICE, BOB)])
    await alice.receive(1)
    return { alice, bob }
  }

  for (const role of ['http', 'own'] as const) {
    describe(role === 'http' ? 'on the HTTP server' : 'on a listener of its own', () => {
      it('asks for the token, as a header or as the first subprotocol, and says which subprotocol it is', async () => {
        const rig = await serve({ token: { file: tokenFile } }, role)
        await refused(rig, 401)
        await refused(rig, 401, { headers: { authorization: 'Bearer another-token-of-length' } })
        await refused(rig, 401, { protocols: ['another-token-of-length'] })
        await refused(rig, 401, { protocols: ['v1', SECRET] })
        await dropped(rig, 'unauthorized')
        const header = await connect(rig, { headers: { authorization: `Bearer ${SECRET}` } })
        const browser = await connect(rig, { protocols: [SECRET, 'v1'] })
        assert.deepEqual([header.ws.protocol, browser.ws.protocol], ['', SECRET])
      })

      it('does not look at tokens from an address that guessed too often', async () => {
        const rig = await serve({ token: { file: tokenFile } }, role)
        const guess = (i: number) =>
          connect(rig, { headers: { authorization: `Bearer guess-number-${1000 + i}` } }).catch(error => String(error))
        const answers: string[] = []
        for (let i = 0; i < 40; i++) answers.push(String(await guess(i)))
        assert.ok(answers[0]?.includes('401'), answers[0])
        assert.ok(answers.at(-1)?.includes('429'), answers.at(-1))
        await refused(rig, 429, { headers: { authorization: `Bearer ${SECRET}` } })
      })

      it('refuses pages of other origins, and takes its own, allowed ones, and clients that are no pages', async () => {
        const rig = await serve({ allowedOrigins: ['http://vm.example:8080'] }, role)
        const own = rig.url.replace(/^ws/, 'http').replace('/ethernet', '')
        await refused(rig, 403, { headers: { origin: 'http://evil.example' } })
        await refused(rig, 403, { headers: { origin: 'null' } })
        for (const origin of [own, 'http://VM.example:8080']) await connect(rig, { headers: { origin } })
        await connect(rig)
      })

      it('refuses a page that points its own name at it', async () => {
        const rig = await serve({}, role)
        const headers = { host: 'evil.example', origin: 'http://evil.example' }
        await refused(rig, role === 'http' ? 421 : 403, { headers })
      })

      it('has no more clients than it may, in all, and lets the next in when one has gone', async () => {
        const rig = await serve({ maxPeers: 2 }, role)
        const { alice } = await pair(rig)
        await refused(rig, 503)
        await dropped(rig, 'peer-limit')
        assert.match(rig.findings.now.get('peer-limit') ?? '', /^no more than 2 clients are served: raise maxPeers$/)
        alice.leave()
        await until(() => clients(rig) === 1, 'the first has gone')
        await connect(rig)
      })

      it('has no more clients of one address than it may', async () => {
        const rig = await serve({ maxPeersPerAddress: 2 }, role)
        await pair(rig)
        await refused(rig, 429)
        await connect(rig, { localAddress: '127.0.0.2' })
      })

      it('takes other limits and origins without closing anybody, and is opened anew for another path', async () => {
        const rig = await serve({ maxPeers: 2 }, role)
        const { alice } = await pair(rig)
        await refused(rig, 503)
        const transport = rig.transport()
        const changed = {
          ...transport.config,
          maxPeers: 3,
          allowedOrigins: ['http://vm.example'],
        } as WebSocketListenConfig
        assert.equal(transport.canBecome(changed), true)
        assert.equal(transport.canBecome({ ...changed, path: '/other' }), false)
        transport.update(changed)
        await connect(rig, { headers: { origin: 'http://vm.example' } })
        await refused(rig, 503)
        assert.equal(alice.ended, '')
      })

      it('says goodbye when it is closed', async () => {
        const rig = await serve({}, role)
        const { alice } = await pair(rig)
        await rig.transport().close()
        assert.match(await alice.end(), /closed with 1001/)
      })
    })
  }

  it('is as open as the API where it has no token of its own, and closed to the tokens of the API where it has one', async () => {
    const apiSecret = 'the-token-of-the-api-itself'
    const apiFile = join(folder, 'api')
    writeFileSync(apiFile, apiSecret, { mode: 0o600 })
    const api = [{ name: 'api', role: 'control' as const, token: { file: apiFile }, expires: null }]
    const [forApi, forGuests] = [apiSecret, SECRET].map(each => ({ headers: { authorization: `Bearer ${each}` } }))
    const shared = await serve({}, 'http', api)
    await refused(shared, 401)
    await refused(shared, 401, forGuests)
    await connect(shared, forApi)
    const own = await serve({ token: { file: tokenFile } }, 'http', api)
    await refused(own, 401, forApi)
    await connect(own, forGuests)
  })

  it('answers 404 for another path and 426 for what is no upgrade', async () => {
    const rig = await serve()
    const url = rig.url.replace('ws:', 'http:')
    assert.equal((await fetch(url)).status, 426)
    const offer = {
      connection: 'upgrade, http2-settings',
      upgrade: 'h2c',
      'http2-settings': 'AAMAAABkAAQAoAAAAAIAAAAA',
    }
    const { status, headers } = await ask(url, '/', { headers: offer })
    assert.deepEqual([status, headers.upgrade, headers.connection], [426, 'websocket', 'close'], 'an offer of h2c')
    await assert.rejects(WebSocketPeer.connect(`${rig.url}/more`), /404/)
  })

  it('never compresses, and tells a switch who it is', async () => {
    const rig = await serve()
    const { alice } = await pair(rig)
    assert.equal(alice.ws.extensions, '')
    let headers: Record<string, unknown> = {}
    const { WebSocket } = await import('ws')
    const ws = new WebSocket(rig.url)
    ws.once('upgrade', response => {
      headers = response.headers
    })
    await new Promise(resolve => ws.once('open', resolve))
    ws.terminate()
    assert.deepEqual([headers['x-tapswitch-name'], headers['x-tapswitch-max-frame']], ['lab', '1518'])
  })

  it('counts texts and empty messages and minds neither, and sends no text', async () => {
    const rig = await serve()
    const { alice, bob } = await pair(rig)
    alice.ws.send('hello')
    alice.ws.send('ping:1')
    alice.ws.send(new Uint8Array(0))
    await alice.send([frame(BOB, ALICE, 77)])
    assert.equal((await bob.receive(1))[0]?.length, 77)
    await until(() => rig.drops()['not-a-frame'] === 3, 'three are counted')
    assert.deepEqual([alice.texts, bob.texts], [[], []])
  })

  it('answers text pings where it is told to, and only those', async () => {
    const rig = await serve({ textPings: true })
    const { alice, bob } = await pair(rig)
    for (const text of ['ping:17', 'ping:', `ping:${'x'.repeat(200)}`, 'hello', 'ping:\x07']) alice.ws.send(text)
    await until(() => alice.texts.length === 2, 'two answers')
    await dropped(rig, 'not-a-frame')
    assert.deepEqual([alice.texts, bob.texts, rig.drops()['not-a-frame']], [['pong:17', 'pong:'], [], 3])
  })

  it('puts fragments together, with a ping in between', async () => {
    const rig = await serve()
    const { alice, bob } = await pair(rig)
    const whole = frame(BOB, ALICE, 300)
    alice.ws.send(whole.subarray(0, 1), { binary: true, fin: false })
    alice.ws.send(whole.subarray(1, 200), { binary: true, fin: false })
    alice.ws.ping()
    alice.ws.send(whole.subarray(200), { binary: true, fin: true })
    assert.deepEqual(Buffer.from((await bob.receive(1))[0] as Uint8Array), Buffer.from(whole))
  })

  it('closes who sends a message longer than any frame, also in fragments, and nobody else', async () => {
    const rig = await serve()
    const { alice, bob } = await pair(rig)
    const carol = await connect(rig)
    carol.ws.send(new Uint8Array(100_000))
    assert.match(await carol.end(), /1009/)
    const dave = await connect(rig)
    for (let i = 0; i < 10; i++) dave.ws.send(new Uint8Array(10_000), { binary: true, fin: false })
    assert.match(await dave.end(), /1009/)
    await until(() => rig.drops()['bad-length'] === 2, 'both are counted')
    await alice.send([frame(BOB, ALICE, 88)])
    assert.equal((await bob.receive(1)).at(-1)?.length, 88)
  })

  it('closes who says nothing and answers no ping, and keeps who answers', async () => {
    const rig = await serve({ pingSeconds: 1, idleSeconds: 3 })
    const dead = await connect(rig, { autoPong: false })
    const quiet = await connect(rig)
    assert.match(await dead.end(), /1006/)
    assert.equal(quiet.ended, '')
    await until(() => clients(rig) === 1, 'only the quiet one is left')
  })

  it('holds what a client sends while the switch has no room, and then goes on', async () => {
    const rig = await serve()
    const { alice, bob } = await pair(rig)
    const port = [...rig.dataPlane.ports.values()].find(({ name }) => name === 'web:1')
    const before = rig.dataPlane.counters.readPort(port?.index ?? 0).receiveFrames
    const count = 20_000
    await alice.send(Array.from({ length: count }, () => frame(BOB, ALICE, 1500)))
    await until(
      () => rig.dataPlane.counters.readPort(port?.index ?? 0).receiveFrames === before + count,
      'every frame has come in',
    )
    assert.equal(bob.ended, '')
  })

  it('shows clients, and switches by name', async () => {
    const rig = await serve()
    await connect(rig)
    await connect(rig, {
      headers: {
        'x-tapswitch-instance': 'another-instance',
        'x-tapswitch-name': 'site%20b',
        'x-tapswitch-max-frame': '9018',
      },
    })
    await until(() => clients(rig) === 2, 'both are there')
    assert.deepEqual(rig.transport().facts?.().switches, ['site b (frames of up to 9018 bytes)'])
    const labels = () => [...rig.dataPlane.ports.values()].map(({ peer }) => peer ?? '')
    await until(() => labels().some(peer => /^site b at 127\.0\.0\.1:\d+$/.test(peer)), 'the port says who it is')
  })
})
