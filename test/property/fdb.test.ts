/** Random insertions and deletions in tables so small that runs touch, join and wrap around. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Fdb } from '#src/switch/fdb.js'
import { FdbReader } from '#src/switch/fdb-reader.js'
import { seed } from '../support/seed.js'

type Step =
  | ['learn' | 'static' | 'remove', low: number, port: number]
  | ['flush', port: number]
  | ['takeOver', seed: number]

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('learn' as const), fc.nat(39), fc.nat(2)) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('remove' as const), fc.nat(39), fc.nat(2)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('static' as const), fc.nat(39), fc.nat(2)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('flush' as const), fc.nat(2)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('takeOver' as const), fc.integer()) },
)

describe('the filtering database, whatever is done to it', () => {
  it('holds exactly what was entered and not removed, and counts it right', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.constantFrom(1, 2, 7, 16),
        fc.array(step, { maxLength: 120 }),
        (hashSeed, maxEntries, steps) => {
          let fdb = new Fdb({ maxEntries, maxPorts: 3, ageingMs: 1000, seed: hashSeed })
          const model = new Map<number, { port: number; static: boolean }>()
          for (const [what, first, second = 0] of steps) {
            if (what === 'learn') {
              const known = model.get(first)
              const fits = known !== undefined || model.size < maxEntries
              if (fits && !known?.static) model.set(first, { port: second, static: false })
              fdb.learn(0x0200, first, second, 1000, 0)
            } else if (what === 'static') {
              // In a full table one learned address makes place, whichever it is.
              const learned = [...model].filter(([low, entry]) => low !== first && !entry.static).map(([low]) => low)
              const isFull = !model.has(first) && model.size === maxEntries
              const fits = !isFull || learned.length > 0
              assert.equal(fdb.addStatic(0x0200, first, second, 0), fits)
              const gone = learned.filter(low => fdb.lookup(0x0200, low, 0) < 0)
              assert.equal(gone.length, isFull && fits ? 1 : 0)
              for (const low of gone) model.delete(low)
              if (fits) model.set(first, { port: second, static: true })
            } else if (what === 'remove') {
              assert.equal(fdb.remove(0x0200, first), model.delete(first))
            } else if (what === 'flush') {
              for (const [low, entry] of model) if (entry.port === first && !entry.static) model.delete(low)
              fdb.flushPort(first, false)
            } else {
              fdb = new Fdb({ maxEntries, maxPorts: 3, ageingMs: 1000, seed: first, memory: fdb.memory })
            }
            for (let low = 0; low < 40; low++) {
              assert.equal(fdb.lookup(0x0200, low, 0), model.get(low)?.port ?? -1, `address ${low}`)
              assert.equal(fdb.isStatic(0x0200, low), model.get(low)?.static ?? false)
            }
            const ports = [0, 0, 0]
            for (const entry of model.values()) ports[entry.port]++
            assert.deepEqual([fdb.entries, ...fdb.portEntries], [model.size, ...ports])
          }
          assert.deepEqual(
            new FdbReader(fdb.memory)
              .snapshot()
              .map(entry => entry.mac % 2 ** 32)
              .sort((a, b) => a - b),
            [...model.keys()].sort((a, b) => a - b),
          )
        },
      ),
      { seed, numRuns: 400 },
    )
  })
})
