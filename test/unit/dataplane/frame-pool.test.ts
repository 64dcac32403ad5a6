import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FramePool, HEADROOM, READ_BUFFER } from '#src/dataplane/frame-pool.js'

describe('FramePool', () => {
  it('has as many slots as fit, and no fewer than are needed', () => {
    const pool = new FramePool(1024 * 1024, 1518, 4)
    assert.equal(pool.slots, Math.floor((1024 * 1024) / (pool.capacity + 64)))
    assert.equal(new FramePool(0, 1518, 4).slots, 4)
  })

  for (const maxFrameSize of [64, 1518, 1519, 9018, 65550]) {
    it(`takes one byte more than the longest frame of ${maxFrameSize}, with headroom in front`, () => {
      const pool = new FramePool(0, maxFrameSize, 3)
      assert.ok(pool.capacity > maxFrameSize)
      const offsets = [pool.take(), pool.take(), pool.take()].sort((a, b) => a - b) as [number, number, number]
      assert.equal(offsets[0], 64)
      for (const [i, offset] of offsets.entries()) {
        assert.equal(offset % 64, 0)
        if (i > 0) assert.equal(offset - (offsets[i - 1] as number), pool.capacity + 64)
      }
      assert.ok(offsets[2] + pool.capacity <= pool.bytes.length)
    })
  }

  it('frees a slot with its last reference, and hands that one out first', () => {
    const pool = new FramePool(0, 1518, 3)
    const slot = pool.take()
    assert.equal(pool.free, 2)
    assert.equal(pool.shared(slot), false)
    pool.retain(slot)
    pool.retain(slot)
    assert.equal(pool.shared(slot), true)
    pool.release(slot)
    pool.release(slot)
    assert.deepEqual([pool.free, pool.shared(slot)], [2, false])
    pool.release(slot)
    assert.equal(pool.free, 3)
    assert.equal(pool.take(), slot)
  })

  it('throws when no slot is free, which the queues prevent', () => {
    const pool = new FramePool(0, 1518, 1)
    pool.take()
    assert.throws(() => pool.take(), /no slot is free/)
  })

  it('keeps a frame where it is, or copies one that lies in a read buffer', () => {
    const pool = new FramePool(0, 1518, 2)
    const slot = pool.take()
    assert.deepEqual([pool.isSlot(slot), pool.keep(slot, 60), pool.shared(slot), pool.free], [true, slot, true, 1])

    const inPlace = pool.takeBuffer() + 1000
    pool.bytes.set([1, 2, 3], inPlace)
    const copy = pool.keep(inPlace, 3)
    assert.deepEqual([pool.isSlot(inPlace), pool.isSlot(copy), pool.free], [false, true, 0])
    pool.bytes.fill(9, inPlace, inPlace + 3)
    assert.deepEqual([...pool.bytes.subarray(copy, copy + 3)], [1, 2, 3])
    assert.equal(pool.keep(inPlace, 3), -1)
  })

  it('has read buffers that overlap with nothing, each with room in front for a frame that was cut off', () => {
    const pool = new FramePool(0, 1518, 3)
    const slots = [pool.take(), pool.take(), pool.take()]
    let end = Math.max(...slots) + pool.capacity
    const buffers: number[] = []
    while (pool.sparesBuffer) buffers.push(pool.takeBuffer())
    for (const buffer of [...buffers].sort((a, b) => a - b)) {
      assert.ok(buffer - pool.capacity - HEADROOM >= end)
      end = buffer + READ_BUFFER
    }
    assert.ok(end <= pool.bytes.length)
    assert.throws(() => pool.takeBuffer(), /no read buffer is free/)
    pool.releaseBuffer(buffers[0] as number)
    assert.equal(pool.takeBuffer(), buffers[0])
  })
})
