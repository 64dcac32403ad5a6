import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DelayLine } from '#src/dataplane/delay-line.js'
import { POOL_RESERVE } from '#src/dataplane/egress-queue.js'
import { FramePool } from '#src/dataplane/frame-pool.js'
import { Random, randomSeed } from '../../support/random.js'

describe('DelayLine', () => {
  const line = (limit: number, slots = 1024) => {
    const pool = new FramePool(0, 64, slots)
    return { pool, line: new DelayLine(pool, limit) }
  }
  /** Takes a slot, puts it on the line, and lets go of it as the receive batch does. */
  const push = ({ pool, line }: { pool: FramePool; line: DelayLine }, dueAt: number, length: number) => {
    const offset = pool.take()
    const taken = line.push(dueAt, offset, length)
    pool.release(offset)
    return taken
  }
  const drain = ({ pool, line }: { pool: FramePool; line: DelayLine }) => {
    const lengths: number[] = []
    while (line.count > 0) {
      lengths.push(line.nextLength)
      pool.release(line.nextOffset)
      line.pop()
    }
    return lengths
  }

  it('gives frames in the order of their times, and of their arrival where times are equal', () => {
    const made = line(8)
    for (const [dueAt, length] of [[5, 50], [3, 30], [5, 51], [1, 10], [3, 31], [5, 52]] as const) push(made, dueAt, length) // biome-ignore format: pairs
    assert.equal(made.line.nextDueAt, 1)
    assert.deepEqual(drain(made), [10, 30, 31, 50, 51, 52])
    assert.equal(made.line.nextDueAt, Number.POSITIVE_INFINITY)
  })

  it(`agrees with a sorted list while frames come and go (TAPSWITCH_SEED=${randomSeed})`, () => {
    const random = new Random(randomSeed)
    const made = line(64)
    let model: { dueAt: number; length: number }[] = []
    for (let i = 0; i < 5000; i++) {
      if (random.next() < 0.55 && made.line.count < 64) {
        const dueAt = random.between(0, 20)
        push(made, dueAt, i)
        model.push({ dueAt, length: i })
        model = model.toSorted((a, b) => a.dueAt - b.dueAt || a.length - b.length)
      } else if (model.length > 0) {
        assert.deepEqual(
          { dueAt: made.line.nextDueAt, length: made.line.nextLength },
          { ...(model.shift() as { dueAt: number; length: number }) },
        )
        made.pool.release(made.line.nextOffset)
        made.line.pop()
      }
    }
    drain(made)
    assert.equal(made.pool.free, 1024)
  })

  it('refuses what is beyond its limit, and what would leave the pool too little', () => {
    const made = line(2)
    assert.deepEqual([push(made, 1, 1), push(made, 1, 2), push(made, 1, 3)], [true, true, false])
    assert.equal(made.pool.free, 1022)
    const small = line(1000, POOL_RESERVE + 10)
    let taken = 0
    while (push(small, 1, 1)) taken++
    assert.equal(taken, 5)
  })

  it('lets go of every slot when it is cleared', () => {
    const made = line(8)
    for (let i = 0; i < 5; i++) push(made, i, i)
    assert.equal(made.line.clear(), 5)
    assert.deepEqual([made.line.count, made.pool.free, made.line.nextDueAt], [0, 1024, Number.POSITIVE_INFINITY])
  })
})
