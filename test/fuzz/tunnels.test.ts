/**
 * Random datagrams at the sockets of udp and vxlan, from peers and from strangers. Nothing breaks, two guests that keep
 * to the rules notice nothing, and every datagram is accounted for: received by a port, or dropped under a reason.
 *
 * TAPSWITCH_SEED=<number> repeats a run whose seed was printed. TAPSWITCH_FUZZ_SECONDS=<number> is how long each one
 * takes, default 2.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BATCH } from '#src/dataplane/receive-batch.js'
import type { EndpointDropReason } from '#src/dataplane/shared-memory.js'
import { vxlanHeader } from '#src/wire/vxlan.js'
import { TunnelRig } from '../conformance/tunnel-rig.js'
import { ALICE, BOB, BROADCAST, bpdu, frame, macOf, putMac } from '../support/frames.js'
import { watchMemory } from '../support/memory-growth.js'
import { Random, randomSeed } from '../support/random.js'
import { UdpPeer } from '../support/udp-peer.js'
import { until } from '../support/until.js'

const seconds = Number(process.env.TAPSWITCH_FUZZ_SECONDS ?? 2)
const MAX_LENGTH = 2000
const PER_ROUND = 24
const VNI = 42

describe(`tunnels against random datagrams (TAPSWITCH_SEED=${randomSeed})`, () => {
  it('udp: every one is accounted for, and nobody is disturbed', () =>
    attack(async (rig, [peer]) => {
      await rig.attach(rig.peersConfig({ name: 'attacked', peers: [peer.address] }))
      return { target: rig.whereIs('attacked'), make: random => randomFrame(random) }
    }))

  it('vxlan: every one is accounted for, and nobody is disturbed', () =>
    attack(async (rig, [peer]) => {
      await rig.attach(rig.vxlanConfig({ name: 'attacked', vni: VNI, remotes: [peer.address] }))
      return { target: rig.vtep, make: randomTunnelled }
    }))
})

interface Attack {
  target: string
  make: (random: Random) => Uint8Array
}

async function attack(prepare: (rig: TunnelRig, peers: [UdpPeer, UdpPeer]) => Promise<Attack>): Promise<void> {
  const rig = new TunnelRig('single', '127.0.0.1', { maxFrameSize: 1518, queueFrames: 4096 })
  const bind = (host: string) => UdpPeer.bind(`${host}:0`, { maxFrameSize: 4096 })
  const peers = [bind('127.0.0.2'), bind('127.0.0.3'), bind('127.0.0.1'), bind('127.0.0.1')]
  const [peer, stranger, alice, bob] = peers as [UdpPeer, UdpPeer, UdpPeer, UdpPeer]
  await rig.dataPlane.start()
  try {
    const { target, make } = await prepare(rig, [peer, stranger])
    for (const [name, guest] of [
      ['alice', alice],
      ['bob', bob],
    ] as const) {
      await rig.attach(rig.peersConfig({ name, peers: [guest.address] }))
      guest.sendTo(rig.whereIs(name))
      await guest.send(frame(name === 'alice' ? ALICE : BOB, name === 'alice' ? ALICE : BOB))
    }
    for (const each of [peer, stranger]) each.sendTo(target)
    const random = new Random(randomSeed)
    const counters = (name: string) => {
      const port = [...rig.dataPlane.ports.values()].find(each => each.name === name)
      return rig.dataPlane.counters.readPort(port?.index as number)
    }
    const dropped = () => sum(rig.drops(0) as Record<EndpointDropReason, number>)
    const assertBounded = watchMemory()
    const deadline = performance.now() + seconds * 1000
    let sent = 0
    let next = 0
    let rounds = 0
    for (; performance.now() < deadline || rounds < 20; rounds++) {
      for (const each of [peer, stranger]) {
        const datagrams = Array.from({ length: PER_ROUND }, () => make(random))
        await each.send(datagrams)
        sent += datagrams.length
      }
      await alice.send([0, 1, 2, 3].map(i => numbered(rounds * 4 + i)))
      await until(
        () => {
          for (const each of [peer, stranger]) each.receiveNow()
          for (const bytes of bob.receiveNow()) if (Buffer.compare(bytes, numbered(next)) === 0) next++
          return counters('attacked').receiveFrames + dropped() === sent && next === (rounds + 1) * 4
        },
        `round ${rounds}: ${sent} sent, ${counters('attacked').receiveFrames} received, ${dropped()} dropped`,
      )
    }
    assert.equal(rig.dataPlane.restarts, 0)
    assert.deepEqual(
      rig.log.lines.filter(({ level }) => level === 'error'),
      [],
    )
    const { runt, oversize, 'invalid-source': invalid } = counters('attacked').receiveDrops
    assert.ok(runt > 0 && oversize > 0 && invalid > 0, JSON.stringify(counters('attacked').receiveDrops))
    assert.ok(rig.drops(0).stranger > 0)
    await until(() => {
      const { poolFree, poolSlots } = rig.dataPlane.counters.readSwitch()
      return poolSlots - poolFree === BATCH
    }, 'every slot but those of the receive batch is free again')
    assertBounded()
  } finally {
    for (const each of peers) each.close()
    await rig.stop()
  }
}

/** Half of them noise; the others with a header that leads somewhere. Nobody says to be Alice or Bob. */
function randomFrame(random: Random): Uint8Array {
  const length = random.next() < 0.2 ? random.between(0, 16) : random.between(0, MAX_LENGTH)
  const bytes = random.fill(new Uint8Array(length))
  if (length < 14 || random.next() < 0.5) return bytes
  putMac(bytes, 0, macOf(random.pick([ALICE, BROADCAST, '02:00:00:00:0f:01'])))
  if (random.next() < 0.1) bytes.set(bpdu.subarray(0, 6))
  putMac(bytes, 6, macOf(`02:00:00:00:${random.between(16, 99)}:01`))
  return bytes
}

/** Mostly a header that is right, or nearly. */
function randomTunnelled(random: Random): Uint8Array {
  const header = vxlanHeader(random.next() < 0.8 ? VNI : random.between(0, 0xffffff))
  if (random.next() < 0.2) header[random.between(0, 7)] = random.between(0, 255)
  const bytes = Uint8Array.from([...header, ...randomFrame(random)])
  return random.next() < 0.1 ? bytes.subarray(0, random.between(0, 8)) : bytes
}

function numbered(number: number): Uint8Array {
  const bytes = frame(BOB, ALICE, 64)
  new DataView(bytes.buffer).setUint32(14, number)
  return bytes
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
