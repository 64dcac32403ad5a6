/**
 * Peers that vanish without a word, as when a cable is pulled or a host loses its power: no FIN, no RST, and nothing
 * that is sent to them is ever acknowledged. The switch has to notice by itself, within the time that is configured,
 * and two others miss nothing meanwhile.
 *
 * Here, vanishing is the packet filter of the peers' namespace, which drops everything from one moment on.
 */
import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { PortView } from '#src/control/view.js'
import { createOs } from '#src/os/os.js'
import { encodeInetAddress } from '#src/os/sockaddr-in.js'
import * as streams from '#src/os/stream-socket.js'
import { closeSocket } from '#src/os/unix-socket.js'
import { inNamespace } from '#src/tap/namespace.js'
import { literalAddress } from '#src/transports/inet-text.js'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, BROADCAST, CAROL, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { Netns, netnsNeeds } from '../support/netns.js'
import { numbered, numberOf, sourceOf } from '../support/numbered.js'
import { ready } from '../support/readiness.js'
import { allOf, requirements } from '../support/requires.js'
import { getJson } from '../support/run-in.js'
import { peerOnDescriptor, StreamPeer } from '../support/stream-peer.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { until } from '../support/until.js'
import { WebSocketPeer } from '../support/websocket-peer.js'

const { layout } = createOs()
const KEEP_ALIVE_SECONDS = 3
const IDLE_SECONDS = 4
/**
 * Silent for as long, asked for as long, looked at once a second; the rest is for a busy machine. Without asking it is
 * 15 minutes.
 */
const LIMIT_MS = 2 * KEEP_ALIVE_SECONDS * 1000 + 1000 + 6000
const FAR = '10.9.2.2'
const TOKEN = 'a-token-of-sufficient-length'

const drop = ['in', 'out'].map(
  way => `add chain inet gone ${way} { type filter hook ${way}put priority 0 ; policy drop ; }`,
)

const encoded = (address: string) => encodeInetAddress(layout, literalAddress(address))

async function dialFrom(netns: Netns, address: string): Promise<Socket> {
  const { fd } = inNamespace(netns.name, () => streams.dial(layout, layout.inet.AF_INET, encoded(address)))
  assert.ok(await ready(fd, 'writable', 8000), `connected to ${address}`)
  assert.equal(streams.socketError(layout, fd), 0)
  return new Socket({ fd, readable: true, writable: true })
}

/**
 * Alice and Bob, on TCP as well: she says numbers, to him alone or to everybody, and he has to get all of them in
 * order.
 */
class Bystanders {
  readonly #alice: StreamPeer
  readonly #bob: StreamPeer
  readonly #to: string
  readonly #timer: NodeJS.Timeout
  #said = 0

  static async join(netns: Netns, address: string, to: string): Promise<Bystanders> {
    const [alice, bob] = [await dialFrom(netns, address), await dialFrom(netns, address)].map(
      socket => new StreamPeer(socket),
    ) as [StreamPeer, StreamPeer]
    await eventually(
      async () => {
        await bob.send([frame(BROADCAST, BOB)])
        return alice.receiveNow().length
      },
      heard => heard > 0,
      'Alice hears Bob',
    )
    await alice.send([frame(BOB, ALICE)])
    await bob.receive(1)
    return new Bystanders(alice, bob, to)
  }

  private constructor(alice: StreamPeer, bob: StreamPeer, to: string) {
    this.#alice = alice
    this.#bob = bob
    this.#to = to
    this.#timer = setInterval(() => void this.say(1), 5)
  }

  say(count: number, length = 100): Promise<void> {
    return this.#alice.send(Array.from({ length: count }, () => numbered(this.#to, ALICE, this.#said++, length)))
  }

  /** He has heard everything. */
  async check(): Promise<void> {
    clearInterval(this.#timer)
    const heard: number[] = []
    await until(() => {
      for (const bytes of this.#bob.receiveNow()) if (sourceOf(bytes) === ALICE) heard.push(numberOf(bytes))
      return heard.length >= this.#said
    }, 'Bob has heard everything')
    assert.deepEqual(
      heard,
      Array.from({ length: this.#said }, (_, i) => i),
    )
  }

  leave(): void {
    clearInterval(this.#timer)
    this.#alice.leave()
    this.#bob.leave()
  }
}

describe('peers that vanish without a word', {
  ...requirements(allOf(netnsNeeds, { commands: ['busybox'] })),
  timeout: 180_000,
}, () => {
  let lab: Lab
  let host: Netns
  let near: Netns
  let far: Netns
  let running: SwitchProcess

  before(async () => {
    lab = await Lab.open()
    ;[host, near, far] = [Netns.make(), Netns.make(), Netns.make()]
    for (const [netns, link, number] of [
      [near, 'near', 1],
      [far, 'far', 2],
    ] as const) {
      host.cable(link, netns, 'eth0')
      host.ip('address', 'add', `10.9.${number}.1/24`, 'dev', link)
      netns.ip('address', 'add', `10.9.${number}.2/24`, 'dev', 'eth0')
    }
    const stream = { type: 'stream', keepAliveSeconds: KEEP_ALIVE_SECONDS }
    running = await lab.startSwitch(
      {
        transports: [
          { ...stream, name: 'tcp', listen: '0.0.0.0:9000', allowRemote: true },
          { ...stream, name: 'dialled-quiet', connect: `${FAR}:9101` },
          { ...stream, name: 'dialled-busy', connect: `${FAR}:9102` },
          {
            ...{ name: 'web', type: 'websocket', listen: '0.0.0.0:9200/ethernet', token: { env: 'HALF_OPEN_TOKEN' } },
            ...{ pingSeconds: 1, idleSeconds: IDLE_SECONDS },
          },
        ],
      },
      { env: { HALF_OPEN_TOKEN: TOKEN }, through: ['ip', 'netns', 'exec', host.name] },
    )
  })

  after(async () => {
    await lab?.close()
    for (const netns of [host, near, far]) netns?.remove()
  })

  const farPorts = async (): Promise<PortView[]> => {
    const { ports } = await getJson<{ ports: PortView[] }>(host, `${running.url}/v1/ports`)
    return ports.filter(({ up, peer }) => up && peer?.startsWith(FAR))
  }

  const upAre = (names: readonly RegExp[]) =>
    eventually(
      farPorts,
      ports => ports.length === names.length && names.every(each => ports.some(({ name }) => each.test(name))),
      `${names.length} peers of ${FAR} are up`,
      20_000,
    )

  /** Resolves with how long it took until the last port of them was down. */
  const vanish = async (): Promise<number> => {
    const began = performance.now()
    far.run('nft', ['add table inet gone', ...drop].join(' ; '))
    await eventually(farPorts, ports => ports.length === 0, `nobody of ${FAR} is up`, LIMIT_MS)
    return performance.now() - began
  }

  const comeBack = () => far.succeeds('nft', 'delete', 'table', 'inet', 'gone')

  const joinFar = async (port: number) => {
    const listening = inNamespace(far.name, () => streams.listenAt(layout, literalAddress(`0.0.0.0:${port}`)))
    assert.ok(listening >= 0)
    let accepted = -1
    try {
      await until(
        () => {
          accepted = streams.acceptConnection(layout, listening)
          return accepted >= 0
        },
        'the switch dials',
        30_000,
      )
    } finally {
      closeSocket(listening)
    }
    const socket = await dialFrom(far, '10.9.2.1:9200')
    const web = await WebSocketPeer.connect('ws://10.9.2.1:9200/ethernet', {
      createConnection: (() => socket) as never,
      headers: { authorization: `Bearer ${TOKEN}` },
    })
    const served = peerOnDescriptor(accepted)
    const stream = new StreamPeer(await dialFrom(far, '10.9.2.1:9000'))
    return [web, served, stream]
  }

  for (const [how, to, port] of [
    ['quiet', BOB, 9101],
    ['busy', BROADCAST, 9102],
  ] as const) {
    const when = how === 'quiet' ? 'nothing is sent to them' : 'frames are on their way to them'
    it(`are noticed while ${when}`, async () => {
      const bystanders = await Bystanders.join(near, '10.9.1.1:9000', to)
      let peers: { leave(): void }[] = []
      try {
        peers = await joinFar(port)
        await upAre([/^tcp:/, new RegExp(`^dialled-${how}$`), /^web:/])
        const took = await vanish()
        assert.ok(took > 1000, `${took} ms: nobody told`)
        await bystanders.check()
      } finally {
        for (const peer of [bystanders, ...peers]) peer.leave()
        comeBack()
      }
    })
  }

  it('are noticed when they had stopped reading before; who only does not read, is not taken for gone', async () => {
    const bystanders = await Bystanders.join(near, '10.9.1.1:9000', BROADCAST)
    const fill = async () => {
      const dropped = async () => (await farPorts())[0]?.counters.transmitDrops['queue-full'] ?? -1
      const before = await dropped()
      await eventually(
        async () => {
          await bystanders.say(200, 1514)
          return dropped()
        },
        count => count > before,
        'what waits for Carol is dropped',
        20_000,
      )
    }
    let carol: StreamPeer | undefined
    try {
      carol = new StreamPeer(await dialFrom(far, '10.9.2.1:9000'))
      await carol.send([frame(CAROL, CAROL)])
      const [before] = await upAre([/^tcp:/])
      carol.stall()
      await fill()
      await delay(LIMIT_MS)
      assert.deepEqual(
        (await farPorts()).map(({ id }) => id),
        [before?.id],
        'she is still there',
      )
      carol.resume()
      await carol.receive(1000)
      carol.stall()
      carol.receiveNow()
      await fill()
      await vanish()
      await bystanders.check()
    } finally {
      carol?.leave()
      bystanders.leave()
      comeBack()
    }
  })
})
