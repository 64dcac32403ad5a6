/**
 * A guest, or a fault of libslirp, ends the slirp process as often as it likes. The switch lives, other ports lose no
 * frame, and the interface is back with the guests' leases and its forwards. The switch runs in a namespace without a
 * way out.
 */
import assert from 'node:assert/strict'
import { get } from 'node:http'
import { after, before, describe, it } from 'node:test'
import type { FindingView, InterfaceView, PortView } from '#src/control/view.js'
import { ALICE, BOB, BROADCAST } from '../../support/frames.js'
import { Lab } from '../../support/lab.js'
import { Netns, netnsNeeds } from '../../support/netns.js'
import { numbered, numberedRun, numberOf, sourceOf } from '../../support/numbered.js'
import { bytes4, ethernet, etherType, ip, packetOf, protocol, segmentOf } from '../../support/packets.js'
import type { RawPeer } from '../../support/raw-peer.js'
import { allOf, requirements } from '../../support/requires.js'
import { scale } from '../../support/scale.js'
import { SlirpGuest, slirpNeeds } from '../../support/slirp-guest.js'
import type { SwitchProcess } from '../../support/switch-process.js'
import { until } from '../../support/until.js'

const skip = slirpNeeds().skip || requirements(allOf(netnsNeeds, { commands: ['socat'] })).skip
const FORWARDED = 2222
/** Alice sends so many frames at a time, and Bob reads them. */
const BURST = 50

describe('a guest that ends the slirp process', { skip, timeout: 120_000 * scale }, () => {
  let lab: Lab
  let netns: Netns
  let running: SwitchProcess
  let guests: SlirpGuest[]
  let alice: RawPeer
  let bob: RawPeer
  let sent = 0
  let isPumping = true
  const pumps: Promise<void>[] = []

  before(async () => {
    lab = await Lab.open()
    netns = Netns.make()
    lab.onClose(async () => netns.remove())
    const forwards = [{ host: `127.0.0.1:${FORWARDED}`, guest: '10.0.2.15:22' }]
    const own = ['alice', 'bob', 'vm1', 'vm2'].map(name => ({
      name,
      type: 'unixgram',
      listen: `${name}.sock`,
      peers: 'one',
    }))
    running = await lab.startSwitch(
      {
        interfaces: [{ name: 'nat', type: 'slirp', hostLoopback: true, forwards }],
        transports: own,
        http: { listen: lab.path('api.sock') },
      },
      { through: ['ip', 'netns', 'exec', netns.name] },
    )
    alice = lab.qemu('alice.qemu', 'alice.sock')
    bob = lab.qemu('bob.qemu', 'bob.sock')
    await bob.send(numbered(BROADCAST, BOB, 0))
    guests = [1, 2].map(n => {
      const peer = lab.qemu(`vm${n}.qemu`, `vm${n}.sock`)
      const guest = new SlirpGuest(`52:54:00:00:00:0${n}`, frame => void peer.send(frame).catch(() => {}))
      pumps.push(pump(peer, guest))
      return guest
    })
    for (const guest of guests) await guest.dhcp()
    assert.deepEqual(
      guests.map(({ address }) => address),
      ['10.0.2.15', '10.0.2.16'],
    )
  })

  after(async () => {
    isPumping = false
    await Promise.all(pumps)
    await lab?.close()
  })

  async function pump(peer: RawPeer, guest: SlirpGuest): Promise<void> {
    while (isPumping) for (const frame of await peer.receiveMany(1, 50).catch(() => [])) guest.deliver(frame)
  }

  const nat = async () =>
    (await ask<{ interfaces: InterfaceView[] }>('/v1/interfaces')).interfaces.find(({ name }) => name === 'nat')
  const facts = async () => (await nat())?.facts as { pid: number | null; restarts: number; running: boolean }
  const isUp = async () =>
    (await ask<{ ports: PortView[] }>('/v1/ports')).ports.find(({ name }) => name === 'nat')?.up === true

  /** The API is on a unix socket: the loopback of the namespace is not ours. */
  function ask<Answer>(path: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      get({ socketPath: lab.path('api.sock'), path, headers: { host: 'localhost' } }, response => {
        let text = ''
        response.on('data', piece => {
          text += piece
        })
        response.on('end', () => resolve(JSON.parse(text)))
      }).on('error', reject)
    })
  }

  /** Frames from Alice to Bob, each awaited: a lost one fails here. */
  async function traffic(): Promise<void> {
    const frames = numberedRun(BOB, ALICE, sent, BURST)
    await alice.send(frames)
    for (let expected = sent; expected < sent + BURST; ) {
      const frame = await bob.receive(10_000)
      // He hears what slirp and the guests flood, too.
      if (sourceOf(frame) !== ALICE) continue
      assert.equal(numberOf(frame), expected, 'in order, and none is missing')
      expected++
    }
    sent += BURST
  }

  /** Traffic until the process is there again, and has been replaced. */
  async function back(before: { restarts: number }): Promise<void> {
    const deadline = performance.now() + 30_000
    for (;;) {
      await traffic()
      const now = await facts()
      if (now.restarts > before.restarts && now.running && (await isUp())) return
      assert.ok(performance.now() < deadline, 'slirp runs again')
    }
  }

  async function worksAsBefore(): Promise<void> {
    const [first, second] = guests as [SlirpGuest, SlirpGuest]
    // They did not ask again for their addresses; one that is new gets another.
    await first.ping('10.0.2.2', sent & 255)
    await second.ping('10.0.2.2', sent & 255)
    const client = netns.spawn('socat', '-', `TCP:127.0.0.1:${FORWARDED},retry=50,interval=0.1`)
    await first.next(frame => {
      const packet = packetOf(frame)
      return packet?.protocol === protocol.tcp && segmentOf(packet.payload).to === 22 ? true : null
    }, 'a SYN through the forward')
    client.kill('SIGKILL')
  }

  for (const signal of ['SIGSEGV', 'SIGKILL', 'SIGBUS', 'SIGSTOP'] as const) {
    it(`by ${signal}, costs other ports nothing, and keeps its lease and its forward`, async () => {
      for (let round = 0; round < (signal === 'SIGSTOP' ? 1 : scale); round++) {
        const was = await facts()
        process.kill(was.pid as number, signal)
        await back(was)
        await worksAsBefore()
      }
    })
  }

  /**
   * A last IPv4 fragment that comes first, with 8 bytes: 42 bytes in all. libslirp 4.7.0 writes through a pointer that
   * it holds.
   */
  const lastFragment = () => {
    const packet = Buffer.from(ip(bytes4('10.0.2.15'), bytes4('10.0.2.2'), protocol.udp, new Uint8Array(8).fill(0x41)))
    packet.writeUInt16BE(1, 6)
    return ethernet(BROADCAST, guests[0]?.mac as string, etherType.ipv4, withChecksum(packet))
  }

  it('by fragments, whatever libslirp makes of them, does not end the switch', async () => {
    const [guest] = guests as [SlirpGuest]
    const was = await facts()
    for (let i = 0; i < 20; i++) guest.sendFrame(lastFragment())
    const first = Buffer.from(ip(bytes4('10.0.2.15'), bytes4('10.0.2.2'), protocol.udp, new Uint8Array(1480)))
    first.writeUInt16BE(0x2000, 6)
    const second = Buffer.from(ip(bytes4('10.0.2.15'), bytes4('10.0.2.2'), protocol.udp, new Uint8Array(528)))
    second.writeUInt16BE(185, 6)
    for (const fragment of [second, first]) {
      guest.sendFrame(ethernet(BROADCAST, guest.mac, etherType.ipv4, withChecksum(fragment)))
    }
    await traffic()
    const now = await facts()
    if (now.restarts > was.restarts || !now.running) await back(was)
    await worksAsBefore()
  })

  it('is told to the operator: what died, how, and that it runs again', async () => {
    const { findings } = await ask<{ findings: FindingView[] }>('/v1/findings')
    const died = findings.find(({ code }) => code === 'slirp-died')
    assert.match(died?.message ?? '', /slirp \(libslirp [\d.]+\) died: it (was ended by SIG|did not answer)/)
    assert.equal(
      findings.find(({ code }) => code === 'slirp-restarting'),
      undefined,
    )
  })

  it('leaves no process behind when the switch is killed', async () => {
    const { pid } = await facts()
    isPumping = false
    await Promise.all(pumps)
    running.kill('SIGKILL')
    await running.exited
    await until(() => !isAlive(pid as number), 'the slirp process ends')
  })
})

/** The header is changed: its checksum is made anew. */
function withChecksum(packet: Buffer): Uint8Array {
  packet.writeUInt16BE(0, 10)
  let sum = 0
  for (let at = 0; at < 20; at += 2) sum += packet.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  packet.writeUInt16BE(~sum & 0xffff, 10)
  return packet
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
