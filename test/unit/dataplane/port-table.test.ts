import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { Egress } from '#src/dataplane/egress.js'
import { type EgressPolicy, type EndpointPort, Fault, type PortSettings } from '#src/dataplane/endpoint.js'
import type { Event } from '#src/dataplane/messages.js'
import { PortTable } from '#src/dataplane/port-table.js'
import { PortField, SwitchField } from '#src/dataplane/shared-memory.js'
import { receiveDropReasons } from '#src/switch/drop-reason.js'
import { Switch, Verdict } from '#src/switch/switch.js'
import { highOf, lowOf } from '#src/wire/ethernet.js'
import { FakeEndpoint, fakeParts } from '../../support/fake-dataplane.js'
import { ALICE, BOB, BROADCAST, frame, macOf } from '../../support/frames.js'

const MAX_PORTS = 3
const MAX_ENTRIES = 16
const up = { peer: '/vm', restore: null }

describe('PortTable', () => {
  let parts: ReturnType<typeof fakeParts>
  let core: Switch
  let egress: Egress
  let events: Event[]
  let table: PortTable
  const endpoint = new FakeEndpoint()
  const policy: EgressPolicy = { maxFrameSize: 0, maxEntries: 0, isolated: false, queueFrames: 16 }
  const describePort = (name: string, staticAddresses: number[] = []): EndpointPort => ({
    name,
    transport: 'vms',
    kind: 'memory',
    policy,
    staticAddresses,
  })
  const settings: PortSettings = { enabled: true, policy: {}, staticAddresses: [] }
  const idOf = (index: number) =>
    events.flatMap(event => (event.type === 'port-added' && event.index === index ? [event.id] : []))[0] as number
  const types = () => events.map(({ type }) => type)
  const cell = (index: number, field: number) => parts.counters.cells[parts.counters.portRow(index) + field]

  beforeEach(() => {
    parts = fakeParts({ maxPorts: MAX_PORTS })
    parts.counters.cells[SwitchField.nextPortId] = 1
    core = new Switch({
      maxPorts: MAX_PORTS,
      maxEntries: MAX_ENTRIES,
      maxFrameSize: 1518,
      ageingMs: 1000,
      maxEntriesPerPort: 16,
      hashSeed: 1,
    })
    egress = new Egress(MAX_PORTS, parts.pool, parts.counters, parts.descriptors)
    events = []
    table = new PortTable({
      core,
      egress,
      counters: parts.counters,
      maxPorts: MAX_PORTS,
      clock: () => 42,
      emit: event => events.push(event),
    })
  })

  it('makes ports that are down, until there is no place', () => {
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map(name => table.add(endpoint, describePort(name))),
      [0, 1, 2, -1],
    )
    assert.deepEqual(types(), ['port-added', 'port-added', 'port-added'])
    assert.equal(table.isUp(0), false)
    assert.equal(core.floodTargets(0).length, 0)
  })

  it('uses an index again, with counters from zero, but never an id', () => {
    table.add(endpoint, describePort('a'))
    parts.counters.cells[parts.counters.portRow(0) + PortField.receiveFrames] = 9
    table.remove(0)
    assert.equal(table.add(endpoint, describePort('b')), 0)
    assert.deepEqual(
      events.map(event => ('id' in event ? event.id : 0)),
      [1, 1, 2],
    )
    assert.equal(cell(0, PortField.receiveFrames), 0)
  })

  it('forwards while up, and forgets what it learned when down; the id and the counters stay', () => {
    const index = table.add(endpoint, describePort('a', [macOf(BOB)]))
    table.up(index, up)
    assert.deepEqual([...core.floodTargets(index)], [index])
    core.forward(frame(BOB, ALICE), 0, 60, index, 0)
    assert.deepEqual([core.fdb.entries, cell(index, PortField.up)], [2, 1])
    parts.counters.cells[parts.counters.portRow(index) + PortField.receiveFrames] = 5
    table.down(index, { peer: null, restore: 7 })
    assert.deepEqual([core.fdb.entries, cell(index, PortField.up), cell(index, PortField.receiveFrames)], [1, 0, 5])
    assert.deepEqual(events.at(-1), { type: 'port-down', index, id: 1, peer: null, restore: 7, at: 42 })
    table.up(index, up)
    assert.equal(core.fdb.entries, 1, 'its static address is back')
  })

  it('keeps its static addresses from being learned elsewhere while it is down', () => {
    const owner = table.add(endpoint, describePort('owner', [macOf(BOB)]))
    const thief = table.add(endpoint, describePort('thief'))
    table.up(thief, up)
    const steal = () => core.forward(frame(ALICE, BOB), 0, 60, thief, 0)
    const find = () => core.forward(frame(BOB, ALICE), 0, 60, thief, 0)
    steal()
    assert.equal(find(), Verdict.floodUnknown, 'before it was ever up')
    table.up(owner, up)
    steal()
    assert.equal(find(), owner)
    table.down(owner, { peer: null, restore: null })
    steal()
    assert.equal(find(), Verdict.floodUnknown, 'after it went down')
    table.remove(owner)
    steal()
    assert.equal(find(), Verdict.dropBase - receiveDropReasons.indexOf('same-port'), 'it is the no longer reserved')
  })

  it('has a place for its static addresses, whatever guests have filled the table with', () => {
    const guest = table.add(endpoint, describePort('guest'))
    table.up(guest, up)
    for (let i = 1; i <= 2 * MAX_ENTRIES; i++)
      core.forward(frame(BROADCAST, `02:00:00:00:01:${i.toString(16).padStart(2, '0')}`), 0, 60, guest, 0)
    assert.equal(core.fdb.entries, MAX_ENTRIES)
    const owner = table.add(endpoint, describePort('owner', [macOf(BOB)]))
    table.up(owner, up)
    assert.ok(core.fdb.isStatic(highOf(macOf(BOB)), lowOf(macOf(BOB))))
  })

  it('tells of a new peer on a port that is up, and enters it into the core once', () => {
    const index = table.add(endpoint, describePort('a'))
    table.up(index, up)
    table.up(index, { peer: '/other', restore: null })
    assert.deepEqual(types(), ['port-added', 'port-up', 'port-up'])
  })

  it('drops what waits for a port that goes down', () => {
    const index = table.add(endpoint, describePort('a'))
    table.up(index, up)
    const free = parts.pool.free
    endpoint.answers = [-11]
    endpoint.faults = { 11: Fault.wait }
    parts.batch.length[0] = 60
    egress.stage(index, parts.batch, 0, 1, core.maxFrameSize)
    egress.flush(0)
    parts.batch.recycle(1)
    assert.equal(egress.waiting(index), 1)
    table.down(index, { peer: null, restore: null })
    assert.deepEqual([egress.waiting(index), parts.pool.free], [0, free])
    assert.equal(parts.counters.readPort(index).transmitDrops['peer-gone'], 1)
  })

  it('takes a port over with its index, id and counters, and says nothing', () => {
    parts.counters.cells[parts.counters.portRow(1) + PortField.receiveFrames] = 77
    parts.counters.cells[parts.counters.portRow(1) + PortField.queueFrames] = 4
    table.restore(endpoint, describePort('b'), 1, { id: 31, settings })
    table.up(1, up, true)
    assert.deepEqual([events, table.isUp(1)], [[{ type: 'port-resumed', index: 1, id: 31, at: 42 }], true])
    events.length = 0
    assert.deepEqual([cell(1, PortField.receiveFrames), cell(1, PortField.queueFrames)], [77, 0])
    assert.equal(parts.counters.readPort(1).transmitDrops.restart, 4, 'what waited when the one before ended')
    table.down(1, { peer: null, restore: null })
    assert.deepEqual(
      events.map(event => ('id' in event ? event.id : 0)),
      [31],
    )
    assert.throws(() => table.restore(endpoint, describePort('b'), 1, { id: 31, settings }), /taken/)
  })

  it('takes a port that is up down before it removes it', () => {
    const index = table.add(endpoint, describePort('a'))
    table.up(index, up)
    table.remove(index)
    assert.deepEqual(types(), ['port-added', 'port-up', 'port-down', 'port-removed'])
    assert.equal(core.floodTargets(index).length, 0)
    assert.throws(() => table.up(index, up), /no port/)
  })

  it('gives a new policy to every port of an endpoint, up or down, and to no other', () => {
    const other = new FakeEndpoint()
    for (const [name, owner] of [
      ['a', endpoint],
      ['b', endpoint],
      ['c', other],
    ] as const)
      table.add(owner, describePort(name))
    table.up(0, up)
    table.up(2, up)
    table.setPolicy(endpoint, { ...policy, maxFrameSize: 500, queueFrames: 3 })
    assert.deepEqual(
      [0, 1, 2].map(index => egress.queueLimit(index)),
      [3, 3, 16],
    )
    assert.deepEqual([...core.maxFrameSize], [500, 0, 1518])
    table.up(1, up)
    assert.equal(core.maxFrameSize[1], 500)
  })

  it('keeps the place of a port that is to be restored', () => {
    table.reserve('x', { index: 0, settings: { enabled: true, policy: {}, staticAddresses: [] } })
    assert.equal(table.add(endpoint, describePort('new')), 1)
    table.restore(endpoint, describePort('old'), 0, { id: 31, settings })
    table.remove(0)
    assert.equal(table.add(endpoint, describePort('next')), 0)
  })

  it('keeps the static addresses that a port has by the time it is restored, and lets go of others', () => {
    const isStatic = (mac: string) => core.fdb.isStatic(highOf(macOf(mac)), lowOf(macOf(mac)))
    const reserve = (addresses: string[]) =>
      table.reserve('x', { index: 0, settings: { ...settings, staticAddresses: addresses.map(macOf) } })
    reserve([ALICE, BOB])
    assert.deepEqual([ALICE, BOB].map(isStatic), [true, true])
    reserve([BOB])
    assert.deepEqual([ALICE, BOB].map(isStatic), [false, true])
  })

  it('gives a policy that was changed to ports that come later, too', () => {
    table.setPolicy(endpoint, { ...policy, queueFrames: 3 })
    const index = table.add(endpoint, describePort('a'))
    assert.equal(egress.queueLimit(index), 3)
  })

  describe('settings of one port', () => {
    const set = (index: number, change: Partial<PortSettings>) =>
      table.setPort(index, idOf(index), { ...settings, ...change })

    it('switch it off and on, and say nothing: its peer has not moved', () => {
      const index = table.add(endpoint, describePort('a', [macOf(ALICE)]))
      table.up(index, up)
      events.length = 1
      set(index, { enabled: false, staticAddresses: [macOf(ALICE)] })
      assert.deepEqual([table.isUp(index), cell(index, PortField.up), core.fdb.entries], [false, 0, 1])
      set(index, { staticAddresses: [macOf(ALICE)] })
      assert.deepEqual([table.isUp(index), cell(index, PortField.up), core.fdb.entries], [true, 1, 1])
      assert.deepEqual(types(), ['port-added'])
    })

    it('keep it off when its peer comes, and forward once it may', () => {
      const index = table.add(endpoint, describePort('a'))
      set(index, { enabled: false })
      table.up(index, up)
      assert.deepEqual([table.isUp(index), types()], [false, ['port-added', 'port-up']])
      set(index, { enabled: true })
      assert.equal(table.isUp(index), true)
    })

    it('take the place of what its endpoint says, also when that changes', () => {
      const index = table.add(endpoint, describePort('a'))
      const other = table.add(endpoint, describePort('b'))
      for (const each of [index, other]) table.up(each, up)
      set(index, { policy: { maxFrameSize: 600, queueFrames: 4 } })
      table.setPolicy(endpoint, { ...policy, maxFrameSize: 900 })
      assert.deepEqual([...core.maxFrameSize].slice(0, 2), [600, 900])
      assert.deepEqual([egress.queueLimit(index), egress.queueLimit(other)], [4, 16])
      set(index, {})
      assert.deepEqual([...core.maxFrameSize].slice(0, 2), [900, 900])
    })

    it('add and remove static addresses, all or none', () => {
      const index = table.add(endpoint, describePort('a'))
      table.up(index, up)
      assert.equal(set(index, { staticAddresses: [macOf(ALICE), macOf(BOB)] }), null)
      assert.equal(core.fdb.entries, 2)
      assert.equal(set(index, { staticAddresses: [macOf(BOB)] }), null)
      assert.equal(core.fdb.entries, 1)
      const tooMany = Array.from({ length: 17 }, (_, i) => 0x020000000000 + i)
      assert.match(set(index, { staticAddresses: tooMany, enabled: false }) ?? '', /full/)
      assert.deepEqual([core.fdb.entries, table.isUp(index)], [1, true])
    })

    it('are taken over by the next data plane', () => {
      const off = { enabled: false, policy: { queueFrames: 4 }, staticAddresses: [macOf(ALICE)] }
      table.restore(endpoint, describePort('a'), 0, { id: 31, settings: off })
      table.up(0, up, true)
      assert.deepEqual([table.isUp(0), egress.queueLimit(0)], [false, 4])
    })

    it('are for the port that was meant, not for one that took its place', () => {
      const index = table.add(endpoint, describePort('a'))
      table.up(index, up)
      assert.equal(table.setPort(index, 99, { ...settings, enabled: false }), null)
      assert.equal(table.isUp(index), true)
    })
  })
})
