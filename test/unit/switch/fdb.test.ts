import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Fdb, type FdbOptions, FdbStat, Learned } from '#src/switch/fdb.js'
import { bytesFor, Header, slotAt } from '#src/switch/fdb-memory.js'
import { FdbReader } from '#src/switch/fdb-reader.js'

const HIGH = 0x0200
const make = (options: Partial<FdbOptions> = {}) =>
  new Fdb({ maxEntries: 8, maxPorts: 4, ageingMs: 1000, seed: 1, ...options })
const addresses = (fdb: Fdb) =>
  new FdbReader(fdb.memory)
    .snapshot()
    .map(entry => `${entry.mac.toString(16)} on ${entry.port}`)
    .sort()

describe('the filtering database', () => {
  it('learns, finds, moves and forgets', () => {
    const fdb = make()
    assert.equal(fdb.lookup(HIGH, 1, 0), -1)
    assert.equal(fdb.learn(HIGH, 1, 2, 8, 0), Learned.added)
    assert.equal(fdb.learn(HIGH, 1, 2, 8, 0), Learned.refreshed)
    assert.equal(fdb.lookup(HIGH, 1, 0), 2)
    assert.equal(fdb.learn(HIGH, 1, 3, 8, 0), Learned.moved)
    assert.equal(fdb.movedFrom, 2)
    assert.equal(fdb.lookup(HIGH, 1, 0), 3)
    assert.ok(fdb.remove(HIGH, 1))
    assert.equal(fdb.lookup(HIGH, 1, 0), -1)
    assert.deepEqual([fdb.entries, ...fdb.portEntries], [0, 0, 0, 0, 0])
  })

  it('tells addresses apart by each of their 48 bits, and by the VID', () => {
    const fdb = make({ maxEntries: 64 })
    const keys: [number, number][] = [[0, 0]]
    for (let bit = 0; bit < 28; bit++) keys.push([1 << bit, 0])
    for (let bit = 0; bit < 32; bit++) keys.push([0, 1 << bit])
    keys.forEach(([high, low], i) => {
      assert.equal(fdb.learn(high, low, i % 4, 64, 0), Learned.added)
    })
    keys.forEach(([high, low], i) => {
      assert.equal(fdb.lookup(high, low, 0), i % 4)
    })
  })

  it('holds as many entries as it says, and not one more', () => {
    for (const maxEntries of [1, 2, 3, 7, 8, 9, 100]) {
      const fdb = make({ maxEntries })
      for (let low = 0; low < maxEntries; low++) assert.equal(fdb.learn(HIGH, low, 0, 1000, 0), Learned.added)
      assert.equal(fdb.learn(HIGH, maxEntries, 0, 1000, 0), Learned.tableFull)
      for (let low = 0; low < maxEntries; low++) assert.equal(fdb.lookup(HIGH, low, 0), 0)
      assert.ok(fdb.entries <= fdb.capacity / 2)
    }
  })

  it('takes an expired entry for absent before the sweep has met it', () => {
    const fdb = make()
    fdb.learn(HIGH, 1, 0, 8, 0)
    assert.equal(fdb.lookup(HIGH, 1, 1000), 0)
    assert.equal(fdb.lookup(HIGH, 1, 1001), -1)
    assert.equal(fdb.entries, 1)
    assert.equal(fdb.learn(HIGH, 1, 1, 8, 1001), Learned.added)
    assert.equal(fdb.entries, 1)
    assert.equal(fdb.stats[FdbStat.aged], 1)
  })

  it('gives a new station of a full table the slot of an expired one that its probe meets', () => {
    // Capacity 4 and two entries: whichever way addresses hash, some probe meets one.
    let reused = 0
    for (let low = 0; low < 100; low++) {
      const fdb = make({ maxEntries: 2 })
      fdb.learn(HIGH, 1000, 0, 8, 0)
      fdb.learn(HIGH, 1001, 0, 8, 0)
      const learned = fdb.learn(HIGH, low, 1, 8, 5000)
      if (learned === Learned.added) reused++
      else assert.equal(learned, Learned.tableFull)
      assert.equal(fdb.entries, 2)
      assert.equal(fdb.lookup(HIGH, low, 5000), learned === Learned.added ? 1 : -1)
    }
    assert.ok(reused > 20 && reused < 100, `${reused} of 100`)
  })

  it('counts that slot for the new station, not against it, on a full port', () => {
    let reused = 0
    for (let low = 0; low < 100; low++) {
      const fdb = make({ maxEntries: 2 })
      fdb.learn(HIGH, 1000, 0, 1, 0)
      if (fdb.learn(HIGH, low, 0, 1, 5000) === Learned.added) reused++
      assert.deepEqual([fdb.entries, fdb.portEntries[0]], [1, 1])
    }
    assert.ok(reused > 5 && reused < 95, `${reused} of 100`)
  })

  it('sweeps a few slots at a time and all of them in one round', () => {
    const fdb = make({ maxEntries: 100 })
    for (let low = 0; low < 100; low++) fdb.learn(HIGH, low, 0, 100, low < 50 ? 0 : 900)
    assert.equal(fdb.age(1000, fdb.capacity), 0)
    let removed = 0
    for (let swept = 0; swept < fdb.capacity + 50; swept += 10) {
      const now = fdb.age(1500, 10)
      assert.ok(now <= 10)
      removed += now
    }
    assert.equal(removed, 50)
    assert.equal(fdb.entries, 50)
    assert.equal(fdb.stats[FdbStat.aged], 50)
  })

  it('does not take a clock that steps back for a very long silence', () => {
    const fdb = make()
    fdb.learn(HIGH, 1, 0, 8, 5000)
    assert.equal(fdb.lookup(HIGH, 1, 4000), 0)
    assert.equal(fdb.age(4000, fdb.capacity), 0)
  })

  it('accepts the longest ageing time that 802.1Q knows, and no nonsense', () => {
    const fdb = make({ ageingMs: 1e9 })
    fdb.learn(HIGH, 1, 0, 8, 0)
    assert.equal(fdb.lookup(HIGH, 1, 1e9), 0)
    assert.equal(fdb.lookup(HIGH, 1, 1e9 + 1), -1)
    for (const ageingMs of [-1, 1e9 + 1, Number.NaN]) assert.throws(() => make({ ageingMs }), /ageingMs/)
    for (const maxEntries of [0, 1.5, 2 ** 22 + 1, Number.NaN]) assert.throws(() => make({ maxEntries }), /maxEntries/)
    for (const maxPorts of [0, 65537, Number.NaN]) assert.throws(() => make({ maxPorts }), /maxPorts/)
    assert.throws(() => make({ memory: new SharedArrayBuffer(64) }), /memory/)
  })

  it('flushes the dynamic entries of one port, or of all', () => {
    const fdb = make({ maxEntries: 100 })
    for (let low = 0; low < 60; low++) fdb.learn(HIGH, low, low % 3, 100, 0)
    fdb.addStatic(HIGH, 100, 1, 0)
    assert.equal(fdb.flushPort(1, false), 20)
    assert.deepEqual([...fdb.portEntries], [20, 1, 20, 0])
    assert.equal(fdb.flushPort(1, true), 1)
    assert.equal(fdb.flush(), 40)
    assert.equal(fdb.entries, 0)
  })
})

describe('memory of a table whose writer died', () => {
  /** The cells of the only entry, and of the first empty slot. */
  function dissect(fdb: Fdb) {
    const cells = new Int32Array(fdb.memory)
    const slots = Array.from({ length: fdb.capacity }, (_, slot) => slotAt(slot))
    const entry = slots.find(at => cells[at] !== 0)
    const empty = slots.findLast(at => cells[at] === 0)
    assert.ok(entry !== undefined && empty !== undefined)
    return { cells, entry, empty }
  }

  it('keeps its entries, with another seed too', () => {
    const fdb = make({ maxEntries: 100 })
    for (let low = 0; low < 100; low++) fdb.learn(HIGH, low, low % 4, 100, low)
    const heir = make({ maxEntries: 100, memory: fdb.memory, seed: 99 })
    assert.equal(heir.entries, 100)
    assert.deepEqual([...heir.portEntries], [25, 25, 25, 25])
    for (let low = 0; low < 100; low++) assert.equal(heir.lookup(HIGH, low, 100), low % 4)
    assert.equal(heir.lookup(HIGH, 3, 1003), 3)
    assert.equal(heir.lookup(HIGH, 3, 1004), -1, 'when they were last seen, too')
  })

  it('keeps the younger of two entries of one address', () => {
    for (const [first, second] of [
      [10, 20],
      [20, 10],
    ]) {
      const fdb = make()
      fdb.learn(HIGH, 1, 2, 8, first)
      const { cells, entry, empty } = dissect(fdb)
      cells.copyWithin(empty, entry, entry + 4)
      cells[empty + 2] = 3
      cells[empty + 3] = second
      const heir = make({ memory: fdb.memory })
      assert.equal(heir.entries, 1)
      assert.equal(heir.lookup(HIGH, 1, 20), second > first ? 3 : 2)
    }
  })

  it('finds entries again that a gap cut off', () => {
    // All in one run, because the table is small; then one entry in the middle is lost without the run being closed.
    const fdb = make({ maxEntries: 64 })
    for (let low = 0; low < 64; low++) fdb.learn(HIGH, low, 0, 64, 0)
    const cells = new Int32Array(fdb.memory)
    let lost = 0
    for (let slot = 0; slot < fdb.capacity; slot += 3) {
      if (cells[slotAt(slot)] !== 0) lost++
      cells[slotAt(slot)] = 0
    }
    const reachable = (table: Fdb) =>
      Array.from({ length: 64 }, (_, low) => table.lookup(HIGH, low, 0) === 0).filter(Boolean)
    assert.ok(reachable(fdb).length < 64 - lost, 'some were cut off')
    const heir = make({ maxEntries: 64, memory: fdb.memory })
    assert.equal(heir.entries, 64 - lost)
    assert.equal(reachable(heir).length, 64 - lost)
  })

  it('loses entries of ports that there cannot be, and what is no entry', () => {
    const fdb = make()
    fdb.learn(HIGH, 1, 2, 8, 0)
    const { cells, entry, empty } = dissect(fdb)
    cells[entry + 2] = 4
    cells[empty] = 0x0fffffff
    assert.equal(make({ memory: fdb.memory }).entries, 0)
  })

  it('is readable while nobody ends the change, and at rest again afterwards', () => {
    const fdb = make()
    fdb.learn(HIGH, 1, 2, 8, 0)
    const cells = new Int32Array(fdb.memory)
    cells[Header.sequence]++
    assert.deepEqual(addresses(fdb), ['20000000001 on 2'])
    const heir = make({ memory: fdb.memory })
    assert.equal(cells[Header.sequence] % 2, 0)
    assert.deepEqual(addresses(heir), ['20000000001 on 2'])
  })
})

describe('the reader', () => {
  it('shows nothing before there is a table', () => {
    assert.deepEqual(new FdbReader(new SharedArrayBuffer(bytesFor(8))).snapshot(), [])
  })

  it('shows entries as the writer has them, without the expired', () => {
    const fdb = make({ maxEntries: 100 })
    const reader = new FdbReader(fdb.memory)
    fdb.learn((42 << 16) | HIGH, -1, 1, 100, 500)
    fdb.learn(HIGH, -1, 2, 100, 900)
    fdb.addStatic(0x0a0b, 0x0c0d0e0f, 3, 0)
    fdb.age(1200, 0)
    assert.deepEqual(
      reader.snapshot().sort((a, b) => a.port - b.port),
      [
        { vid: 42, mac: 0x0200ffffffff, port: 1, static: false, ageMs: 700 },
        { vid: 0, mac: 0x0200ffffffff, port: 2, static: false, ageMs: 300 },
        { vid: 0, mac: 0x0a0b0c0d0e0f, port: 3, static: true, ageMs: 1200 },
      ],
    )
    fdb.age(1600, 0)
    assert.equal(reader.snapshot().length, 2)
  })
})
