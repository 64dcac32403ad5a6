import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { receiveDropReasons } from '#src/switch/drop-reason.js'
import { FdbStat } from '#src/switch/fdb.js'
import { type PortPolicy, Switch, type SwitchOptions, Verdict } from '#src/switch/switch.js'
import { formatMac } from '#src/wire/ethernet.js'
import * as frames from '../../support/frames.js'
import { ALICE, BOB, BROADCAST, CAROL, frame, macOf, ZERO } from '../../support/frames.js'

const plain: PortPolicy = { maxFrameSize: 0, maxEntries: 0, isolated: false }
const isolated: PortPolicy = { ...plain, isolated: true }

interface Setup extends Partial<SwitchOptions> {
  ports?: PortPolicy[]
}

/** A switch with ports 0, 1 and 2, and what its listener heard. */
function setup({ ports = [plain, plain, plain], ...options }: Setup = {}) {
  const heard: string[] = []
  const core = new Switch({
    maxPorts: 8,
    maxFrameSize: 1518,
    ageingMs: 300_000,
    maxEntries: 64,
    maxEntriesPerPort: 32,
    hashSeed: 1,
    listener: {
      learned: (high, low, port) => heard.push(`learned ${formatMac(high, low)} on ${port}`),
      moved: (high, low, from, to, goesOn) =>
        heard.push(`moved ${formatMac(high, low)} ${from}->${to}${goesOn ? ' again' : ''}`),
      flapping: (high, low, from, to) => heard.push(`flapping ${formatMac(high, low)} ${from}->${to}`),
      limitReached: port => heard.push(`limit ${port}`),
    },
    ...options,
  })
  ports.forEach((policy, index) => {
    core.addPort(index, policy)
  })
  return {
    core,
    heard,
    /** What becomes of a frame that comes in by this port. */
    send: (bytes: Uint8Array, ingress: number, now = 0) => told(core.forward(bytes, 0, bytes.length, ingress, now)),
    stat: (name: keyof typeof FdbStat) => core.stats[FdbStat[name]],
  }
}

function told(verdict: number): string {
  if (verdict >= 0) return `port ${verdict}`
  if (verdict <= Verdict.dropBase) return `drop ${receiveDropReasons[Verdict.dropBase - verdict]}`
  const floods = ['', 'broadcast', 'multicast', 'unknown']
  return `flood ${floods[-verdict] ?? verdict}`
}

/** A station nobody named, for tests that need many. */
const station = (n: number) => `02:00:00:00:01:${n.toString(16).padStart(2, '0')}`

describe('the switch', () => {
  it('floods a broadcast, learns its sender, and forwards the answer to it alone', () => {
    const { send, heard } = setup()
    assert.equal(send(frames.arpRequest, 0), 'flood broadcast')
    assert.equal(send(frames.arpReply, 1), 'port 0')
    assert.equal(send(frames.ipv4Echo, 0), 'port 1')
    assert.deepEqual(heard, [`learned ${ALICE} on 0`, `learned ${BOB} on 1`])
  })

  it('floods a frame to a station it does not know', () => {
    const { send } = setup()
    assert.equal(send(frames.ipv4Echo, 0), 'flood unknown')
  })

  it('floods multicast, known sender or not', () => {
    const { send } = setup()
    assert.equal(send(frames.ipv6NeighbourSolicitation, 0), 'flood multicast')
    assert.equal(send(frames.ipv6NeighbourSolicitation, 0), 'flood multicast')
  })

  it('keeps a frame that is for a station on its own port', () => {
    const { send } = setup()
    send(frame(BROADCAST, BOB), 0)
    assert.equal(send(frames.ipv4Echo, 0), 'drop same-port')
  })

  it('forwards tagged frames by their addresses', () => {
    const { send } = setup()
    send(frame(BROADCAST, BOB), 2)
    assert.equal(send(frames.taggedIpv4, 0), 'port 2')
  })

  it('reads the frame where it lies in a larger buffer', () => {
    const { core } = setup()
    const pool = new Uint8Array(256)
    pool.set(frames.arpRequest, 100)
    assert.equal(core.forward(pool, 100, frames.arpRequest.length, 1, 0), Verdict.floodBroadcast)
    pool.set(frames.arpReply, 33)
    assert.equal(core.forward(pool, 33, frames.arpReply.length, 0, 0), 1)
  })

  it('floods a frame to the all-zero address, behind which nobody can be', () => {
    const { send } = setup()
    assert.equal(send(frame(ZERO, ALICE), 0), 'flood unknown')
  })
})

describe('a frame that is refused', () => {
  it('is shorter than a header', () => {
    const { send } = setup()
    for (const length of [0, 3, 13]) assert.equal(send(frame(BROADCAST, ALICE, length), 0), 'drop runt')
    assert.equal(send(frames.vfktHandshake, 0), 'drop runt')
    assert.equal(send(frame(BROADCAST, ALICE, 14), 0), 'flood broadcast')
  })

  it('is longer than the switch allows', () => {
    const { send } = setup({ maxFrameSize: 1000 })
    assert.equal(send(frame(BROADCAST, ALICE, 1000), 0), 'flood broadcast')
    assert.equal(send(frame(BROADCAST, ALICE, 1001), 0), 'drop oversize')
  })

  it('is longer than its port allows, which is never more than the switch does', () => {
    const { send, core } = setup({
      maxFrameSize: 1000,
      ports: [plain, { ...plain, maxFrameSize: 600 }, { ...plain, maxFrameSize: 9000 }],
    })
    assert.deepEqual([...core.maxFrameSize.subarray(0, 4)], [1000, 600, 1000, 0])
    assert.equal(send(frame(BROADCAST, ALICE, 600), 1), 'flood broadcast')
    assert.equal(send(frame(BROADCAST, ALICE, 601), 1), 'drop oversize')
    assert.equal(send(frame(BROADCAST, ALICE, 1001), 2), 'drop oversize')
  })

  it('comes from a group or from nobody, and is not learned', () => {
    const { send, core, heard } = setup()
    assert.equal(send(frames.groupSource, 0), 'drop invalid-source')
    assert.equal(send(frames.zeroSource, 0), 'drop invalid-source')
    assert.equal(send(frame(BROADCAST, BROADCAST), 0), 'drop invalid-source')
    assert.equal(core.fdb.entries, 0)
    assert.deepEqual(heard, [])
  })

  it('is not learned from when its length is wrong', () => {
    const { core, send } = setup()
    send(frame(BROADCAST, ALICE, 13), 0)
    send(frame(BROADCAST, ALICE, 1519), 0)
    assert.equal(core.fdb.entries, 0)
  })

  it('is for an address that bridges do not relay; its sender is learned all the same', () => {
    const { send } = setup()
    for (const bytes of [frames.bpdu, frames.pause, frames.lldp]) {
      assert.equal(send(bytes, 2), 'drop reserved-destination')
    }
    assert.equal(send(frames.arpReply, 0), 'port 2')
  })

  it('is not the one to the addresses after the reserved sixteen', () => {
    const { send } = setup()
    assert.equal(send(frame('01:80:c2:00:00:0f', ALICE), 0), 'drop reserved-destination')
    assert.equal(send(frame('01:80:c2:00:00:10', ALICE), 0), 'flood multicast')
    assert.equal(send(frames.gvrp, 0), 'flood multicast')
  })
})

describe('a station that moves', () => {
  it('is found on its new port with the next frame, and the move is counted', () => {
    const { send, stat, heard } = setup()
    send(frame(BROADCAST, BOB), 0)
    send(frame(BROADCAST, BOB), 1)
    assert.equal(send(frames.ipv4Echo, 2), 'port 1')
    assert.equal(stat('moved'), 1)
    assert.ok(heard.includes(`moved ${BOB} 0->1`))
  })

  it('is called flapping when it goes to and fro, once in a window', () => {
    const { send, heard } = setup()
    for (let i = 0; i < 40; i++) send(frame(BROADCAST, BOB), i % 2, i * 100)
    assert.deepEqual(
      heard.filter(line => line.startsWith('flapping')),
      [`flapping ${BOB} 1->0`],
    )
    assert.equal(heard.filter(line => /^moved .* again$/.test(line)).length, 33, 'after the six that made it so')
    for (let i = 0; i < 40; i++) send(frame(BROADCAST, BOB), i % 2, 60_000 + i * 100)
    assert.equal(heard.filter(line => line.startsWith('flapping')).length, 2)
  })

  it('is not called flapping when it roams', () => {
    const { send, heard } = setup()
    for (let i = 0; i < 40; i++) send(frame(BROADCAST, BOB), i % 2, i * 5000)
    assert.deepEqual(
      heard.filter(line => line.startsWith('flapping')),
      [],
    )
  })
})

describe('ageing', () => {
  it('keeps a station for the ageing time after its last frame and not a millisecond longer', () => {
    const { send } = setup({ ageingMs: 1000 })
    send(frame(BROADCAST, BOB), 1, 0)
    send(frame(BROADCAST, BOB), 1, 500)
    assert.equal(send(frames.ipv4Echo, 0, 1500), 'port 1')
    assert.equal(send(frames.ipv4Echo, 0, 1501), 'flood unknown')
  })

  it('takes effect at once when it is changed', () => {
    const { core, send } = setup({ ageingMs: 1000 })
    send(frame(BROADCAST, BOB), 1, 0)
    core.setLimits({ maxFrameSize: 1518, ageingMs: 5000, maxEntriesPerPort: 32 })
    assert.equal(send(frames.ipv4Echo, 0, 3000), 'port 1')
    core.setLimits({ maxFrameSize: 1518, ageingMs: 100, maxEntriesPerPort: 32 })
    assert.equal(send(frames.ipv4Echo, 0, 3000), 'flood unknown')
  })

  it('goes on when the clock passes 2^32 milliseconds', () => {
    const { send } = setup({ ageingMs: 1000 })
    send(frame(BROADCAST, BOB), 1, 2 ** 32 - 300)
    assert.equal(send(frames.ipv4Echo, 0, 2 ** 32 + 700), 'port 1')
    assert.equal(send(frames.ipv4Echo, 0, 2 ** 32 + 701), 'flood unknown')
  })

  it('counts a station that comes back after it aged as learned, not as moved', () => {
    const { send, stat } = setup({ ageingMs: 1000 })
    send(frame(BROADCAST, BOB), 1, 0)
    send(frame(BROADCAST, BOB), 2, 5000)
    assert.deepEqual([stat('learned'), stat('moved'), stat('aged')], [2, 0, 1])
  })
})

describe('limits', () => {
  it('refuse a new station on a full port, forward its frames, and leave the others alone', () => {
    const { send, stat, core } = setup({ maxEntriesPerPort: 2 })
    send(frame(BROADCAST, BOB), 0)
    for (let n = 0; n < 5; n++) assert.equal(send(frame(BOB, station(n)), 1), 'port 0')
    assert.deepEqual([...core.fdbCounts.subarray(0, 3)], [1, 2, 0])
    assert.equal(stat('refused'), 3)
    assert.equal(send(frame(station(1), BOB), 0), 'port 1')
    assert.equal(send(frame(station(2), BOB), 0), 'flood unknown')
  })

  it('refuse a new station on a full table, on whatever port', () => {
    const { send, stat, core } = setup({ maxEntries: 3 })
    for (let n = 0; n < 3; n++) send(frame(BROADCAST, station(n)), n)
    assert.equal(send(frame(station(0), ALICE), 1), 'port 0')
    assert.equal(core.fdb.entries, 3)
    assert.equal(stat('refused'), 1)
  })

  it('are told once in ten seconds, by port and for the whole table', () => {
    const { send, heard } = setup({ maxEntries: 3, maxEntriesPerPort: 2 })
    const limits = () => heard.filter(line => line.startsWith('limit'))
    for (let n = 0; n < 10; n++) send(frame(BROADCAST, station(n)), 0, n)
    assert.deepEqual(limits(), ['limit 0'])
    for (let n = 10; n < 20; n++) send(frame(BROADCAST, station(n)), 1, n)
    assert.deepEqual(limits(), ['limit 0', 'limit -1'])
    send(frame(BROADCAST, station(20)), 0, 9_999)
    assert.equal(limits().length, 2)
    send(frame(BROADCAST, station(20)), 0, 10_002)
    assert.deepEqual(limits(), ['limit 0', 'limit -1', 'limit 0'])
  })

  it('leave a station where it was when it moves to a full port, until its entry ages', () => {
    const { send, stat } = setup({ ageingMs: 1000, ports: [plain, { ...plain, maxEntries: 1 }, plain] })
    send(frame(BROADCAST, station(1)), 1, 0)
    send(frame(BROADCAST, BOB), 0, 0)
    assert.equal(send(frame(BROADCAST, BOB), 1, 900), 'flood broadcast')
    assert.equal(send(frames.ipv4Echo, 2, 1000), 'port 0', 'not stolen')
    assert.equal(send(frames.ipv4Echo, 2, 1001), 'flood unknown', 'and not refreshed by the thief')
    assert.deepEqual([stat('moved'), stat('refused')], [0, 1])
  })

  it('count an expired station no more once it is swept', () => {
    const { core, send } = setup({ ageingMs: 1000, maxEntriesPerPort: 1 })
    send(frame(BROADCAST, ALICE), 0, 0)
    core.age(1001, core.fdb.capacity)
    send(frame(BROADCAST, BOB), 0, 1001)
    assert.equal(send(frame(BOB, CAROL), 1, 1001), 'port 0')
  })

  it('of a port come from its policy where that has one', () => {
    const { core, send } = setup({ maxEntriesPerPort: 1, ports: [plain, { ...plain, maxEntries: 3 }] })
    for (let n = 0; n < 5; n++) {
      send(frame(BROADCAST, station(n)), 0)
      send(frame(BROADCAST, station(n + 16)), 1)
    }
    assert.deepEqual([...core.fdbCounts.subarray(0, 2)], [1, 3])
  })
})

describe('isolated ports', () => {
  it('reach open ports and are reached by them, never each other', () => {
    const { send } = setup({ ports: [plain, isolated, isolated] })
    send(frame(BROADCAST, ALICE), 1)
    send(frame(BROADCAST, BOB), 2)
    send(frame(BROADCAST, CAROL), 0)
    assert.equal(send(frame(BOB, ALICE), 1), 'drop isolated')
    assert.equal(send(frame(CAROL, ALICE), 1), 'port 0')
    assert.equal(send(frame(ALICE, CAROL), 0), 'port 1')
    assert.equal(send(frame(ALICE, ALICE), 1), 'drop same-port')
  })

  it('flood to open ports only', () => {
    const { core } = setup({ ports: [plain, isolated, isolated, plain] })
    assert.deepEqual([...core.floodTargets(0)], [0, 1, 2, 3])
    assert.deepEqual([...core.floodTargets(1)], [0, 3])
  })

  it('can be opened while traffic flows', () => {
    const { core, send } = setup({ ports: [isolated, isolated] })
    send(frame(BROADCAST, BOB), 1)
    assert.equal(send(frames.ipv4Echo, 0), 'drop isolated')
    core.setPolicy(1, plain)
    assert.equal(send(frames.ipv4Echo, 0), 'port 1')
    assert.deepEqual([...core.floodTargets(0)], [1])
  })
})

describe('static entries', () => {
  it('do not age', () => {
    const { core, send } = setup({ ageingMs: 1000 })
    assert.ok(core.addStatic(macOf(BOB), 2, 0))
    core.age(1e9, core.fdb.capacity)
    assert.equal(send(frames.ipv4Echo, 0, 1e9), 'port 2')
  })

  it('do not move: frames from elsewhere are forwarded, but not learned', () => {
    const { core, send, stat } = setup()
    core.addStatic(macOf(BOB), 2, 0)
    send(frame(BROADCAST, ALICE), 0)
    assert.equal(send(frame(ALICE, BOB), 1), 'port 0')
    assert.equal(send(frames.ipv4Echo, 0), 'port 2')
    assert.deepEqual([stat('moved'), stat('refused')], [0, 1])
  })

  it('take over an address that was learned elsewhere', () => {
    const { core, send } = setup()
    send(frame(BROADCAST, BOB), 1)
    core.addStatic(macOf(BOB), 2, 0)
    assert.equal(send(frames.ipv4Echo, 0), 'port 2')
    assert.deepEqual([...core.fdbCounts.subarray(0, 3)], [1, 0, 1])
  })

  it('stay when the rest is flushed, and go when they are removed or their port is', () => {
    const { core, send } = setup()
    core.addStatic(macOf(BOB), 2, 0)
    core.addStatic(macOf(CAROL), 2, 0)
    send(frame(BROADCAST, ALICE), 2)
    assert.equal(core.flushPort(2), 1)
    assert.equal(core.flush(), 0)
    assert.equal(core.fdb.entries, 2)
    assert.ok(core.removeStatic(macOf(BOB)))
    assert.ok(!core.removeStatic(macOf(BOB)))
    core.removePort(2)
    assert.equal(core.fdb.entries, 0)
  })

  it('may exceed the limit of a port, not that of the table', () => {
    const { core } = setup({ maxEntries: 2, maxEntriesPerPort: 1 })
    assert.ok(core.addStatic(macOf(station(1)), 0, 0))
    assert.ok(core.addStatic(macOf(station(2)), 0, 0))
    assert.ok(!core.addStatic(macOf(station(3)), 1, 0))
    assert.ok(core.addStatic(macOf(station(2)), 1, 0), 'an address that is in the table already has room')
  })

  it('push out a learned address of a full table, and never another static one', () => {
    const { core, send } = setup({ maxEntries: 2 })
    core.addStatic(macOf(CAROL), 0, 0)
    send(frame(BROADCAST, ALICE), 0, 0)
    assert.ok(core.addStatic(macOf(BOB), 1, 0))
    assert.deepEqual([core.fdb.entries, send(frame(ALICE, BOB), 1)], [2, 'flood unknown'])
    assert.ok(!core.addStatic(macOf(ALICE), 1, 0))
  })

  it('are known to nobody and learned nowhere while they are reserved', () => {
    const { core, send } = setup()
    assert.ok(core.reserveStatic(macOf(BOB), 2, 0))
    send(frame(BROADCAST, BOB), 1)
    assert.equal(send(frame(BOB, ALICE), 0), 'flood unknown')
    assert.ok(core.addStatic(macOf(BOB), 2, 0))
    assert.equal(send(frame(BOB, ALICE), 0), 'port 2')
    assert.ok(!core.releaseStatic(macOf(BOB), 1), 'of another port')
    assert.ok(core.releaseStatic(macOf(BOB), 2))
  })

  it('cannot be made for a group, for nobody, or on a port that is not there', () => {
    const { core } = setup()
    for (const mac of [macOf(BROADCAST), 0, macOf('01:00:5e:00:00:01'), -1, 2 ** 48, Number.NaN]) {
      assert.throws(() => core.addStatic(mac, 0, 0), RangeError)
    }
    assert.throws(() => core.addStatic(macOf(BOB), 5, 0), /no port 5/)
  })

  it('are not removed as such when they were learned', () => {
    const { core, send } = setup()
    send(frame(BROADCAST, BOB), 1)
    assert.ok(!core.removeStatic(macOf(BOB)))
    assert.ok(core.forget(macOf(BOB)))
    assert.ok(!core.forget(macOf(BOB)))
  })
})

describe('ports', () => {
  it('that leave take their stations with them and get no more floods', () => {
    const { core, send } = setup()
    send(frame(BROADCAST, BOB), 1)
    core.removePort(1)
    assert.equal(send(frames.ipv4Echo, 0), 'flood unknown')
    assert.deepEqual([...core.floodTargets(0)], [0, 2])
  })

  it('that come to a used index begin with nothing', () => {
    const { core, send } = setup()
    send(frame(BROADCAST, BOB), 1)
    core.removePort(1)
    core.addPort(1, plain)
    assert.equal(send(frames.ipv4Echo, 0), 'flood unknown')
    assert.equal(core.fdbCounts[1], 0)
  })

  it('are refused when the index is taken or out of range, or the policy makes no sense', () => {
    const { core } = setup()
    assert.throws(() => core.addPort(1, plain), /port 1 is there already/)
    for (const index of [-1, 8, 1.5, Number.NaN]) assert.throws(() => core.addPort(index, plain), RangeError)
    assert.throws(() => core.addPort(3, { ...plain, maxFrameSize: -1 }), /maxFrameSize/)
    assert.throws(() => core.addPort(3, { ...plain, maxEntries: 0.5 }), /maxEntries/)
    assert.throws(() => core.removePort(3), /no port 3/)
    assert.throws(() => core.setPolicy(3, plain), /no port 3/)
    assert.throws(() => core.flushPort(3), /no port 3/)
    assert.equal(core.floodTargets(3).length, 0)
  })

  it('follow the switch when its limits change', () => {
    const { core, send } = setup({ ports: [plain, { ...plain, maxFrameSize: 600 }] })
    core.setLimits({ maxFrameSize: 9018, ageingMs: 1000, maxEntriesPerPort: 1 })
    assert.deepEqual([...core.maxFrameSize.subarray(0, 3)], [9018, 600, 0])
    for (let n = 0; n < 5; n++) send(frame(BROADCAST, station(n)), 0)
    assert.equal(core.fdbCounts[0], 1)
    assert.throws(() => core.setLimits({ maxFrameSize: 13, ageingMs: 1, maxEntriesPerPort: 1 }), /maxFrameSize/)
    assert.throws(() => core.setLimits({ maxFrameSize: 64, ageingMs: -1, maxEntriesPerPort: 1 }), /ageingMs/)
    assert.throws(() => core.setLimits({ maxFrameSize: 64, ageingMs: 1, maxEntriesPerPort: 0 }), /maxEntriesPerPort/)
  })
})

describe('a switch on the memory of an earlier one', () => {
  it('knows its stations once their ports are back', () => {
    const before = setup()
    before.send(frame(BROADCAST, BOB), 1)
    before.core.addStatic(macOf(CAROL), 2, 0)
    const after = setup({ memory: before.core.fdb.memory, hashSeed: 2 })
    assert.equal(after.send(frames.ipv4Echo, 0), 'port 1')
    assert.equal(after.send(frame(CAROL, ALICE), 0), 'port 2')
    assert.deepEqual([...after.core.fdbCounts.subarray(0, 3)], [1, 1, 1])
  })

  it('floods to a port that did not come back, and forgets its stations when told', () => {
    const before = setup()
    before.send(frame(BROADCAST, BOB), 1)
    before.core.addStatic(macOf(CAROL), 1, 0)
    before.send(frame(BROADCAST, ALICE), 0)
    const { core, send } = setup({ memory: before.core.fdb.memory, ports: [plain] })
    assert.equal(send(frames.ipv4Echo, 0), 'flood unknown')
    assert.equal(core.flushAbsent(), 2)
    assert.equal(core.fdb.entries, 1)
  })
})
