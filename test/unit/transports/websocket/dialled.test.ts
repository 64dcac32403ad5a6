import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, describe, it } from 'node:test'
import { WebSocket } from 'ws'
import { type Hello, readHello } from '#src/transports/websocket/hello.js'
import { drawNonce, Identity } from '#src/transports/websocket/identity.js'
import { proofText } from '#src/transports/websocket/proof-text.js'
import { type Role, WebSocketRig } from '../../../conformance/websocket-rig.js'
import { ALICE, BOB, BROADCAST, CAROL, frame } from '../../../support/frames.js'
import { until } from '../../../support/until.js'
import { RelayServer, WebSocketPeer } from '../../../support/websocket-peer.js'

const SECRET = 'correct-horse-battery-staple'
const folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
const tokenFile = join(folder, 'token')
writeFileSync(tokenFile, SECRET, { mode: 0o600 })
after(() => rmSync(folder, { recursive: true }))

describe('a dialled WebSocket', () => {
  const closers: (() => Promise<unknown>)[] = []

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  function makeRig(role: Role, name: string, maxFrameSize = 1518): WebSocketRig {
    const rig = new WebSocketRig(role, { maxFrameSize, queueFrames: 512 }, { name })
    closers.push(() => rig.stop())
    return rig
  }

  async function start(role: Role, name: string, maxFrameSize = 1518): Promise<WebSocketRig> {
    const rig = makeRig(role, name, maxFrameSize)
    await rig.start()
    return rig
  }

  async function relayOn(port = 0, headers: Record<string, string> = {}): Promise<RelayServer> {
    const relay = await RelayServer.listen(port, headers)
    closers.push(() => relay.close().catch(() => {}))
    return relay
  }

  async function client(rig: WebSocketRig): Promise<WebSocketPeer> {
    const peer = await WebSocketPeer.connect(rig.url)
    closers.push(async () => peer.leave())
    return peer
  }

  /** What a switch says of itself to those who connect to it. */
  async function helloOf(url: string): Promise<Record<string, string>> {
    const headers = { 'x-tapswitch-instance': new Identity().instance, 'x-tapswitch-nonce': drawNonce() }
    const ws = new WebSocket(url, { headers })
    const [answer] = (await once(ws, 'upgrade')) as [IncomingMessage]
    ws.terminate()
    return Object.fromEntries(
      Object.entries(answer.headers).filter(([name]) => name.startsWith('x-tapswitch-')),
    ) as Record<string, string>
  }

  /** Connects as the switch of this identity would, always from the same transport. */
  async function switchOn(url: string, identity: Identity): Promise<WebSocketPeer> {
    const nonce = drawNonce()
    const headers = {
      'x-tapswitch-instance': identity.instance,
      'x-tapswitch-nonce': nonce,
      'x-tapswitch-link': 'the-same-link',
    }
    const ws = new WebSocket(url, { headers })
    const peer = new WebSocketPeer(ws)
    const [[answer]] = (await Promise.all([once(ws, 'upgrade'), once(ws, 'open')])) as [[IncomingMessage], unknown]
    const theirs = readHello(answer.headers) as Hello
    ws.send(proofText(identity, { dialler: { instance: identity.instance, nonce }, server: theirs }))
    return peer
  }

  const record = (rig: WebSocketRig, name: string) => [...rig.dataPlane.ports.values()].find(port => port.name === name)
  const events = (rig: WebSocketRig) => rig.reports.map(({ event }) => event)
  const facts = (rig: WebSocketRig, name: string) => rig.transport(name).facts?.() ?? {}
  const connected = (rig: WebSocketRig, name: string) => facts(rig, name).connected === true

  it('finds a relay that comes back, on the same port, and reports each change once', async () => {
    const rig = await start('connect', 'lab')
    const relay = await relayOn()
    const { port } = relay
    await relay.close()
    await rig.attach(rig.connectConfig('far', `ws://127.0.0.1:${port}/`))
    await until(() => events(rig).includes('connect-failed'), 'the failure is reported')
    await until(() => record(rig, 'far') !== undefined, 'the port is there before the relay is')
    const id = record(rig, 'far')?.id
    assert.equal(record(rig, 'far')?.up, false)
    for (let time = 0; time < 2; time++) {
      const again = await relayOn(port)
      const peer = await again.accept()
      await peer.send([frame(BROADCAST, ALICE)])
      await until(() => record(rig, 'far')?.up === true, 'the port is up')
      assert.equal(record(rig, 'far')?.id, id)
      await again.close()
      await until(() => record(rig, 'far')?.up === false, 'the port is down')
    }
    await until(() => events(rig).filter(event => event === 'disconnected').length === 2, 'both ends are reported')
    const changes = events(rig).filter((event, i) => i === 0 || event !== 'connect-failed')
    assert.deepEqual(changes, ['connect-failed', 'connected', 'disconnected', 'connected', 'disconnected'])
    assert.deepEqual(Object.keys(facts(rig, 'far')), ['connected', 'remoteSwitch', 'remoteMaxFrameSize', 'trouble'])
  })

  it('shows its token, and says what a far end that refuses it says', async () => {
    const rig = await start('connect', 'lab')
    const far = makeRig('own', 'far')
    await far.start({ token: { file: tokenFile } })
    await rig.attach(rig.connectConfig('without', far.url))
    await until(() => events(rig).includes('connect-failed'), 'the refusal is reported')
    assert.match(String(rig.reports[0]?.message), /it answers 401: A token is needed/)
    await rig.attach(rig.connectConfig('with', far.url, { token: { file: tokenFile } }))
    await until(() => connected(rig, 'with'), 'it is connected')
    assert.equal(rig.reports.filter(({ event }) => event === 'connect-failed').length, 1, 'not for each attempt')
  })

  it('says in bounded words what a strange server answers', async () => {
    const server = createServer((_request, response) => response.writeHead(500).end(`\x1b[31m${'x'.repeat(1e6)}`))
    server.on('upgrade', (_request, socket) => {
      socket.on('error', () => {})
      socket.end(`HTTP/1.1 503 No\r\n\r\n${'y'.repeat(1e6)}`)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    closers.push(async () => server.close())
    const rig = await start('connect', 'lab')
    await rig.attach(rig.connectConfig('far', `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`))
    await until(() => rig.reports.length > 0, 'something is reported')
    assert.ok(String(rig.reports[0]?.message).length < 400)
    assert.match(String(rig.reports[0]?.message), /it answers 503/)
  })

  it('links two switches, each of which knows the name and the frame size of the other', async () => {
    const near = await start('own', 'near', 9018)
    const far = await start('own', 'far')
    await near.attach(near.connectConfig('link', far.url))
    await until(() => connected(near, 'link'), 'it is connected')
    assert.deepEqual(facts(near, 'link'), {
      connected: true,
      remoteSwitch: 'far',
      remoteMaxFrameSize: 1518,
      trouble: null,
    })
    assert.deepEqual(far.transport().facts?.().switches, ['near (frames of up to 9018 bytes)'])
    const warning = near.reports.find(({ event }) => event === 'frame-size-mismatch')
    assert.match(String(warning?.message), /frames of more than 1518 bytes do not pass/)
    const [alice, bob, carol] = [await client(near), await client(far), await client(near)]
    await until(() => record(near, 'link')?.up === true, 'the link is up')
    await bob.send([frame(BROADCAST, BOB)])
    await alice.receive(1)
    await carol.receive(1)
    for (const [from, to, mac, other] of [
      [alice, bob, ALICE, BOB],
      [carol, bob, CAROL, BOB],
      [bob, alice, BOB, ALICE],
    ] as const) {
      await from.send([frame(other, mac, 200)])
      assert.equal((await to.receive(1))[0]?.length, 200)
    }
    // Each broadcast arrives once.
    await carol.send([frame(BROADCAST, CAROL, 300)])
    assert.deepEqual([(await alice.receive(1))[0]?.length, (await bob.receive(1))[0]?.length], [300, 300])
    await bob.send([frame(CAROL, BOB, 301)])
    await carol.receive(1)
    assert.deepEqual([alice.receiveNow(), bob.receiveNow(), carol.receiveNow()], [[], [], []])
  })

  it('does not dial itself', async () => {
    const rig = await start('own', 'lab')
    await rig.attach(rig.connectConfig('loop', rig.url))
    await until(() => events(rig).includes('connect-failed'), 'it is refused')
    assert.match(String(rig.reports[0]?.message), /409: This link is refused: it is this switch itself/)
    assert.equal(record(rig, 'loop')?.up, false)
  })

  it('makes no second link to the same switch, in either direction, until the first has gone', async () => {
    const near = await start('own', 'near')
    const far = await start('own', 'far')
    await near.attach(near.connectConfig('link', far.url))
    await until(() => connected(near, 'link'), 'it is connected')
    await near.attach(near.connectConfig('second', far.url))
    await far.attach(far.connectConfig('back', near.url))
    await until(() => events(near).includes('connect-failed') && events(far).includes('connect-failed'), 'both refused')
    assert.match(String(near.reports.at(-1)?.message), /there is a link to "far" already/)
    assert.match(String(far.reports.at(-1)?.message), /there is a link to "near" already/)
    await near.transport('link').close()
    await until(() => connected(near, 'second') || connected(far, 'back'), 'another one takes the place')
  })

  it('makes one link of two switches that dial each other at the same time', async () => {
    const near = await start('own', 'near')
    const far = await start('own', 'far')
    await Promise.all([
      near.attach(near.connectConfig('there', far.url)),
      far.attach(far.connectConfig('back', near.url)),
    ])
    const links = () => [connected(near, 'there'), connected(far, 'back')].filter(up => up).length
    await until(
      () =>
        links() === 1 &&
        events(near)
          .concat(events(far))
          .some(event => event !== 'connected'),
      'one',
    )
    const [alice, bob] = [await client(near), await client(far)]
    await until(() => links() === 1, 'still one')
    await bob.send([frame(BROADCAST, BOB)])
    await alice.receive(1)
    await alice.send([frame(BOB, ALICE, 99)])
    assert.equal((await bob.receive(1)).at(-1)?.length, 99)
  })

  it('finds its place again when the far end has not noticed that it was gone', async () => {
    const near = await start('own', 'near')
    const far = await start('own', 'far')
    await near.attach(near.connectConfig('link', far.url))
    await until(() => connected(near, 'link'), 'it is connected')
    await until(() => record(far, 'web:1')?.up === true, 'the far end has its port')
    const identity = new Identity()
    const first = await switchOn(far.url, identity)
    const second = await switchOn(far.url, identity)
    closers.push(async () => second.leave())
    assert.match(await first.end(), /another connection to the same switch took its place/)
    assert.equal(second.ended, '')
    assert.equal(record(far, 'web:1')?.up, true, 'and other links are left alone')
  })

  it('is not kept out by a guest that copies what another switch says of itself', async () => {
    const near = await start('own', 'near')
    const far = await start('own', 'far')
    // What near says to everyone who connects to it, and what a dialler says that is not near.
    const told = await helloOf(near.url)
    const impostor = await WebSocketPeer.connect(far.url, { headers: { ...told, 'x-tapswitch-link': 'the-same-link' } })
    closers.push(async () => impostor.leave())
    impostor.ws.send(`tapswitch-proof:${told['x-tapswitch-proof'] ?? 'A'.repeat(86)}`)
    await near.attach(near.connectConfig('link', far.url))
    await until(() => connected(near, 'link'), 'the switch itself is let in')
    assert.deepEqual(
      events(near).filter(event => event !== 'connected'),
      [],
    )
    // And the other way round: a server that copies far, dialled first, does not keep far out.
    const relay = await relayOn(0, await helloOf(far.url))
    const third = await start('own', 'third')
    await third.attach(third.connectConfig('copy', `ws://127.0.0.1:${relay.port}/`))
    await until(() => connected(third, 'copy'), 'the copy is dialled')
    await third.attach(third.connectConfig('real', far.url))
    await until(() => connected(third, 'real'), 'the switch itself is dialled, too')
  })

  it('answers text pings of a relay where it is told to', async () => {
    const rig = await start('connect', 'lab')
    const relay = await relayOn()
    await rig.attach(rig.connectConfig('far', `ws://127.0.0.1:${relay.port}/`, { textPings: true }))
    const peer = await relay.accept()
    peer.ws.send('ping:42')
    await until(() => peer.texts.length === 1, 'an answer')
    assert.deepEqual(peer.texts, ['pong:42'])
  })
})
