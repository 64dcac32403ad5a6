import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EgressQueue, POOL_RESERVE } from '#src/dataplane/egress-queue.js'
import { FramePool } from '#src/dataplane/frame-pool.js'
import { BATCH } from '#src/dataplane/receive-batch.js'

/** Takes a slot, queues it, and lets go of it as the receive batch does. */
function push(queue: EgressQueue, pool: FramePool, length = 60): number {
  const offset = pool.take()
  const taken = queue.push(offset, length)
  pool.release(offset)
  return taken ? offset : -1
}

describe('EgressQueue', () => {
  it('takes frames up to its limit and refuses the next, whatever the size of its ring', () => {
    const pool = new FramePool(0, 64, 512)
    const queue = new EgressQueue(pool, 5)
    for (let i = 0; i < 5; i++) assert.notEqual(push(queue, pool), -1)
    assert.equal(push(queue, pool), -1)
    assert.equal(queue.count, 5)
    assert.equal(pool.free, 512 - 5, 'the refused frame is not kept')
  })

  it('keeps the order around the end of its ring', () => {
    const pool = new FramePool(0, 64, 512)
    const queue = new EgressQueue(pool, 4)
    const queued: number[] = []
    for (let i = 0; i < 10; i++) {
      queued.push(push(queue, pool, 100 + i), push(queue, pool, 200 + i), push(queue, pool, 300 + i))
      assert.deepEqual([queue.length[queue.head], queue.count], [100 + i, 3])
      const lengths = Array.from({ length: 3 }, (_, n) => queue.length[(queue.head + n) % 4])
      assert.deepEqual(lengths, [100 + i, 200 + i, 300 + i])
      assert.equal(queue.contiguous(), Math.min(3, 4 - queue.head))
      queue.shift(3)
    }
    assert.ok(!queued.includes(-1))
    assert.deepEqual([queue.count, pool.free], [0, 512])
  })

  it('shares a frame with other queues without a copy, and the last one frees it', () => {
    const pool = new FramePool(0, 64, 512)
    const queues = [new EgressQueue(pool, 8), new EgressQueue(pool, 8)] as const
    const offset = pool.take()
    for (const queue of queues) queue.push(offset, 60)
    pool.release(offset)
    queues[0].shift(1)
    assert.equal(pool.free, 511)
    queues[1].shift(1)
    assert.equal(pool.free, 512)
  })

  it('holds no more than is left free: one congested port takes half of the memory, two a third each', () => {
    const room = 600
    const fill = (ports: number) => {
      const pool = new FramePool(0, 64, room + POOL_RESERVE)
      const queues = Array.from({ length: ports }, () => new EgressQueue(pool, 4096))
      for (let i = 0; i < room; i++) for (const queue of queues) push(queue, pool)
      assert.ok(pool.free >= POOL_RESERVE)
      return queues.map(queue => queue.count)
    }
    for (const [ports, share] of [
      [1, 300],
      [2, 200],
      [5, 100],
    ] as const) {
      for (const count of fill(ports)) assert.ok(Math.abs(count - share) <= 1, `${count} with ${ports} congested ports`)
    }
  })

  it('leaves the reserve to receive into, even when every port is congested', () => {
    const pool = new FramePool(0, 64, 64 + POOL_RESERVE)
    const queues = Array.from({ length: 200 }, () => new EgressQueue(pool, 4096))
    for (let i = 0; i < 10; i++) for (const queue of queues) push(queue, pool)
    assert.ok(pool.free >= POOL_RESERVE, `${pool.free} free`)
  })

  it('takes a frame that was sent in part although nothing else gets in, but leaves what the next batch needs', () => {
    const pool = new FramePool(0, 64, BATCH + 2)
    const queue = new EgressQueue(pool, 4)
    assert.equal(push(queue, pool), -1)
    const inPlace = pool.takeBuffer()
    pool.bytes.fill(7, inPlace, inPlace + 60)
    assert.equal(queue.pushUnfinished(inPlace, 60), true)
    assert.deepEqual([queue.count, queue.length[queue.head], pool.free], [1, 60, BATCH + 1])
    assert.equal(pool.bytes[queue.offset[queue.head] as number], 7)
    assert.throws(() => queue.pushUnfinished(inPlace, 60), /only be the first/)

    pool.take()
    assert.equal(new EgressQueue(pool, 4).pushUnfinished(inPlace, 60), false)
  })
})
