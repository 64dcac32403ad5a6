import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Fdb } from '#src/switch/fdb.js'
import { FdbPage, type FdbPageQuery } from '#src/switch/fdb-page.js'
import { FdbReader } from '#src/switch/fdb-reader.js'
import { Random, randomSeed } from '../../support/random.js'

const PORTS = 8

/** A table in which address n, shuffled, is on port n % 8, and some are static. */
function table(count: number) {
  const fdb = new Fdb({ maxEntries: Math.max(count, 4), maxPorts: PORTS, ageingMs: 1000, seed: 3 })
  const random = new Random(randomSeed)
  const macs = new Set<number>()
  while (macs.size < count) macs.add(0x0200_0000_0000 + random.between(0, 2 ** 31) * 2)
  for (const mac of macs) fdb.learn(Math.floor(mac / 2 ** 32), mac | 0, mac % PORTS, count, 0)
  return { reader: new FdbReader(fdb.memory), macs: [...macs].sort((a, b) => a - b) }
}

function look(reader: FdbReader, query: Partial<FdbPageQuery>) {
  const page = new FdbPage(reader, { isWanted: () => true, offset: 0, limit: 1000, ...query })
  let steps = 1
  while (!page.step()) steps++
  return { total: page.total, macs: page.entries().map(({ mac }) => mac), entries: page.entries(), steps }
}

describe(`a page of the filtering database (TAPSWITCH_SEED=${randomSeed})`, () => {
  for (const count of [0, 1, 100, 40_000]) {
    it(`of ${count} addresses holds, at any place and of any length, what a sorted copy holds there`, () => {
      const { reader, macs } = table(count)
      for (const [offset, limit] of [
        [0, 10],
        [1, 1],
        [Math.floor(count / 2), 1000],
        [Math.max(0, count - 5), 10],
        [0, 100_000],
        [count, 10],
        [count + 7, 10],
      ] as const) {
        const page = look(reader, { offset, limit })
        assert.equal(page.total, count)
        assert.deepEqual(page.macs, macs.slice(offset, offset + limit), `${limit} from ${offset}`)
      }
      const ports = look(reader, { offset: 0, limit: 100_000 }).entries
      assert.ok(ports.every(({ mac, port }) => port === mac % PORTS))
    })
  }

  it('holds only what is wanted: a port, an address', () => {
    const { reader, macs } = table(5000)
    const onThree = macs.filter(mac => mac % PORTS === 2)
    const page = look(reader, { isWanted: port => port === 2, offset: 10, limit: 20 })
    assert.equal(page.total, onThree.length)
    assert.deepEqual(page.macs, onThree.slice(10, 30))
    assert.deepEqual(look(reader, { mac: macs[77] as number }).macs, [macs[77]])
    assert.deepEqual(look(reader, { mac: 1 }).macs, [])
  })

  it('holds reserved addresses that are not in the table, once', () => {
    const { reader, macs } = table(100)
    const reserved = new Map([
      [macs[5] as number, 1],
      [4, 3],
    ])
    const page = look(reader, { reserved })
    assert.deepEqual(page.macs, [4, ...macs])
    assert.deepEqual(page.entries[0], { vid: 0, mac: 4, port: 3, static: true, ageMs: 0 })
  })

  it('of equal addresses on a table without order ends, too', () => {
    // What a writer that moves entries between two steps can make a reader see.
    const reader = {
      slots: 200_000,
      visit: (first: number, count: number, visit: (mac: number, vid: number, place: number, age: number) => void) => {
        for (let i = first; i < Math.min(200_000, first + count); i++) visit(i % 2, 0, 0, 0)
      },
    } as unknown as FdbReader
    assert.deepEqual(new Set(look(reader, { offset: 50_000, limit: 10 }).macs), new Set([0]))
    assert.deepEqual(new Set(look(reader, { offset: 150_000, limit: 10 }).macs), new Set([1]))
  })

  it('takes many steps where the table is large', () => {
    const { reader } = table(40_000)
    assert.ok(look(reader, { limit: 10 }).steps >= 3)
  })
})
