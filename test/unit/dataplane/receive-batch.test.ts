import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FramePool } from '#src/dataplane/frame-pool.js'
import { BATCH, ReceiveBatch } from '#src/dataplane/receive-batch.js'
import { linuxLayout } from '#src/os/layout.js'
import { viewOf } from '../../support/memory-at.js'

/** Where header `i` of the batch makes the kernel write, and how much. */
function target(batch: ReceiveBatch, i: number): { address: number; length: number } {
  const header = viewOf(batch.vector.address + i * batch.vector.stride, batch.vector.stride)
  const iovec = viewOf(Number(header.getBigUint64(16, true)), 16)
  return { address: Number(iovec.getBigUint64(0, true)), length: Number(iovec.getBigUint64(8, true)) }
}

describe('ReceiveBatch', () => {
  it('has a slot of the pool behind every header, with room for one byte too many', () => {
    const pool = new FramePool(0, 1518, 256)
    const batch = new ReceiveBatch(linuxLayout, pool)
    assert.equal(pool.free, 256 - BATCH)
    assert.equal(new Set(batch.offset).size, BATCH)
    for (let i = 0; i < BATCH; i++) {
      assert.deepEqual(target(batch, i), { address: pool.address + (batch.offset[i] as number), length: pool.capacity })
    }
  })

  it('keeps slots nobody else wants, and swaps those that a queue kept', () => {
    const pool = new FramePool(0, 1518, 256)
    const batch = new ReceiveBatch(linuxLayout, pool)
    const before = [...batch.offset]
    pool.retain(batch.offset[1] as number)
    pool.retain(batch.offset[5] as number)
    batch.recycle(3)
    assert.notEqual(batch.offset[1], before[1])
    assert.deepEqual(target(batch, 1).address, pool.address + (batch.offset[1] as number))
    assert.deepEqual([batch.offset[0], batch.offset[2], batch.offset[5]], [before[0], before[2], before[5]])
    assert.equal(pool.shared(before[1] as number), false, 'the queue is its only owner now')
    assert.equal(pool.free, 256 - BATCH - 1)
    pool.release(before[1] as number)
    assert.equal(pool.free, 256 - BATCH)
  })
})
