/**
 * Datagrams of random length and content on a path with many peers. Nothing breaks, two guests that keep to the rules
 * notice nothing, and every datagram is accounted for:
 *
 *     sent by peers with an address  =  received frames, summed over the ports
 *     received - dropped at ingress  =  unicast + floods
 *     transmitted + dropped at egress  =  unicast + floods * (ports - 1)          once no queue holds any
 *     what peers got out of their sockets  =  transmitted, for each port
 *
 * TAPSWITCH_SEED=<number> repeats a run whose seed was printed. TAPSWITCH_FUZZ_SECONDS=<number> makes it longer.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BATCH } from '#src/dataplane/receive-batch.js'
import type { PortCounters } from '#src/dataplane/shared-memory.js'
import { UnixgramRig } from '../conformance/unixgram-rig.js'
import { ALICE, BOB, BROADCAST, bpdu, frame, macOf, putMac } from '../support/frames.js'
import { watchMemory } from '../support/memory-growth.js'
import { Random, randomSeed } from '../support/random.js'
import { RawPeer } from '../support/raw-peer.js'
import { until } from '../support/until.js'

const MAX_LENGTH = 2000
const DATAGRAMS_PER_PEER = 24
const ROUNDS = 250
/** Ends with as many rounds or after as long, whatever comes first; where it is said how long, only then. */
const seconds = Number(process.env.TAPSWITCH_FUZZ_SECONDS ?? 0)
const BUDGET_MS = 5000
const HEADER = 14

describe(`unixgram, many peers, against random datagrams (TAPSWITCH_SEED=${randomSeed})`, () => {
  it('accounts for every one of them, and disturbs nobody', async () => {
    const rig = new UnixgramRig('many', 'qemu', { maxFrameSize: 1518, queueFrames: 4096 })
    await rig.start()
    const path = rig.pathOf(0)
    const peers: RawPeer[] = []
    const bind = (style: 'qemu' | 'vfkit') => {
      const target = style === 'qemu' ? { sendTo: path, wholeAddress: true } : { connectTo: path, handshake: style }
      const peer = RawPeer.bind(rig.peerPathOf(peers.length), target)
      peers.push(peer)
      return peer
    }
    const stray = RawPeer.unbound({ sendTo: path })
    try {
      const [alice, bob] = [bind('qemu'), bind('qemu')]
      const random = new Random(randomSeed)
      let sent = 0
      for (const style of ['qemu', 'vfkit', 'vfkit', 'qemu', 'qemu'] as const) bind(style)
      for (const [i, peer] of peers.entries()) {
        await peer.send(frame(stationOf(i), stationOf(i)))
        sent++
      }
      await until(() => upPorts(rig).length === peers.length, 'every peer is up')

      const got = new Map(peers.map(peer => [peer, 0]))
      let bobNext = 0
      let strayed = 0
      const read = () => {
        for (const peer of peers) {
          const frames = peer.receiveNow()
          got.set(peer, (got.get(peer) as number) + frames.length)
          if (peer === bob) for (const bytes of frames) bobNext += isNumbered(bytes, bobNext) ? 1 : 0
        }
      }
      const assertBounded = watchMemory()
      const began = performance.now()
      let rounds = 0
      for (; isWanted(rounds, performance.now() - began); rounds++) {
        const attackers = peers.slice(2).map(peer => {
          const datagrams = Array.from({ length: DATAGRAMS_PER_PEER }, () => randomDatagram(random))
          sent += datagrams.length
          return peer.send(datagrams)
        })
        const strays = [randomDatagram(random), randomDatagram(random)]
        strayed += strays.length
        sent += 4
        await Promise.all([
          ...attackers,
          stray.send(strays),
          alice.send([0, 1, 2, 3].map(i => numbered(rounds * 4 + i))),
        ])
        await until(
          () => {
            read()
            return settled(rig, sent)
          },
          `round ${rounds} is accounted for: ${JSON.stringify(sums(rig))}, sent ${sent}`,
        )
      }
      const allGot = () =>
        upPorts(rig).every(({ peer, index }) => {
          const reader = peers.find(each => each.path === peer) as RawPeer
          return got.get(reader) === rig.dataPlane.counters.readPort(index).transmitFrames
        })
      await reading(read, allGot, () => 'what was transmitted is what was got')

      assert.equal(bobNext, rounds * 4, 'all that Alice said came, in order')
      assert.equal(rig.drops().unbound, strayed)
      assert.equal(rig.dataPlane.restarts, 0)
      assert.deepEqual(
        rig.log.lines.filter(({ level }) => level === 'error'),
        [],
      )
      const { floods, flooded, drops } = sums(rig)
      assert.ok(floods > 0 && flooded > 0, 'random frames were flooded')
      assert.ok(drops.runt > 0 && drops.oversize > 0 && drops['invalid-source'] > 0, JSON.stringify(drops))
      assert.equal(sums(rig).transmitDrops, 0, 'everybody read')
      await until(() => {
        const { poolFree, poolSlots } = rig.dataPlane.counters.readSwitch()
        return poolSlots - poolFree === BATCH
      }, 'every slot but those of the receive batch is free again')
      assertBounded()
    } finally {
      stray.close()
      for (const peer of peers) peer.close({ unlink: true })
      await rig.stop()
    }
  })
})

const isWanted = (rounds: number, elapsedMs: number) =>
  seconds > 0 ? elapsedMs < seconds * 1000 : rounds < ROUNDS && elapsedMs < BUDGET_MS

const stationOf = (i: number) => [ALICE, BOB][i] ?? `02:00:00:00:0f:0${i}`

/** Half of them noise; the others with a header that leads somewhere. Nobody says to be Alice or Bob. */
function randomDatagram(random: Random): Uint8Array {
  const length = random.next() < 0.2 ? random.between(0, HEADER + 2) : random.between(0, MAX_LENGTH)
  const bytes = random.fill(new Uint8Array(length))
  if (length < HEADER || random.next() < 0.5) return bytes
  const to = random.pick([ALICE, BOB, BROADCAST, stationOf(2), stationOf(3), stationOf(4), stationOf(5)])
  putMac(bytes, 0, macOf(to))
  if (random.next() < 0.1) bytes.set(bpdu.subarray(0, 6))
  putMac(
    bytes,
    6,
    macOf(random.pick([stationOf(2), stationOf(3), stationOf(4), `02:00:00:00:${random.between(16, 99)}:01`])),
  )
  return bytes
}

/** As `until`, for a condition that holds only when peers read: their queue in the kernel is ten datagrams long. */
async function reading(read: () => void, condition: () => boolean, what: () => string): Promise<void> {
  const deadline = performance.now() + BUDGET_MS
  for (;;) {
    read()
    if (condition()) return
    if (performance.now() > deadline) throw new Error(`not within ${BUDGET_MS} ms: ${what()}`)
    await new Promise(resolve => setImmediate(resolve))
  }
}

function numbered(number: number): Uint8Array {
  const bytes = frame(BOB, ALICE, 64)
  new DataView(bytes.buffer).setUint32(HEADER, number)
  return bytes
}

function isNumbered(bytes: Uint8Array, number: number): boolean {
  return Buffer.compare(bytes, numbered(number)) === 0
}

function upPorts(rig: UnixgramRig) {
  return [...rig.dataPlane.ports.values()].filter(({ up }) => up)
}

function sums(rig: UnixgramRig) {
  const { counters } = rig.dataPlane
  const ports = upPorts(rig).map(({ index }) => counters.readPort(index))
  const sum = (of: (port: PortCounters) => number) => ports.reduce((total, port) => total + of(port), 0)
  const all = (counts: object) => Object.values(counts).reduce((total: number, count: number) => total + count, 0)
  const drops = Object.fromEntries(
    Object.keys(ports[0]?.receiveDrops ?? {}).map(reason => [reason, sum(port => port.receiveDrops[reason as 'runt'])]),
  ) as PortCounters['receiveDrops']
  const floods: number = all(counters.readSwitch().floods)
  const received = sum(port => port.receiveFrames)
  const unicast = received - all(drops) - floods
  const transmitDrops = sum(port => all(port.transmitDrops))
  return {
    received,
    drops,
    floods,
    unicast,
    flooded: floods * (ports.length - 1),
    waiting: sum(port => port.queueFrames),
    out: sum(port => port.transmitFrames) + transmitDrops,
    transmitDrops,
  }
}

function settled(rig: UnixgramRig, sent: number): boolean {
  const { received, unicast, flooded, out, waiting } = sums(rig)
  return received === sent && out === unicast + flooded && waiting === 0
}
