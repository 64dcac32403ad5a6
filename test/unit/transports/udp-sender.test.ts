import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FramePool } from '#src/dataplane/frame-pool.js'
import { darwinLayout, type Layout, linuxLayout } from '#src/os/layout.js'
import { NativeMemory } from '#src/os/native-memory.js'
import type { Os } from '#src/os/os.js'
import type { SegmentVector } from '#src/os/segment-vector.js'
import { PLAIN_CALLS, UdpSender } from '#src/transports/udp-sender.js'

const EIO = 5
const { EMSGSIZE, EAGAIN } = linuxLayout.errno
const to = new NativeMemory(16)

/** A sender on a kernel that answers as told; what it was asked is the frames of each message. */
function senderOn(answer: (frames: number[]) => number, layout: Layout = linuxLayout) {
  const asked: number[][] = []
  const os = {
    layout,
    sendMessages: (_fd: number, vector: SegmentVector, count: number) => {
      const frames = [...vector.frames.subarray(0, count)]
      asked.push(frames)
      return answer(frames)
    },
  } as unknown as Os
  const pool = new FramePool(1 << 20, 1518, 64)
  const sender = new UdpSender(os, pool)
  const offsets = Int32Array.from({ length: 64 }, () => pool.take())
  return {
    asked,
    send: (sizes: number[]) => sender.send(9, to, 16, offsets, Int32Array.from(sizes), 0, sizes.length),
  }
}

const all = (frames: number[]) => frames.length

describe('frames to one UDP peer', () => {
  it('are one message as long as they are equally long, with a shorter one at its end', () => {
    const { asked, send } = senderOn(all)
    assert.equal(send([100, 100, 100, 60, 100, 100, 101, 101, 60, 60]), 10)
    assert.deepEqual(asked, [[4, 2, 3, 1]])
  })

  it('are no more than 65,000 bytes of a message', () => {
    const { asked, send } = senderOn(all)
    assert.equal(send(new Array<number>(64).fill(1514)), 64)
    assert.deepEqual(asked, [[42, 22]])
  })

  it('are counted by messages when the kernel stops between them', () => {
    const { send } = senderOn(() => 2)
    assert.equal(send([100, 100, 200, 200, 200, 50, 300]), 6)
  })

  it('are sent one by one where the way out refuses more, and from then on', () => {
    const { asked, send } = senderOn(frames => ((frames[0] as number) > 1 ? -EIO : frames.length))
    assert.equal(send([100, 100, 100]), 3)
    assert.deepEqual(asked, [[3], [1, 1, 1]])
    assert.equal(send([100, 100]), 2)
    assert.deepEqual(asked.slice(2), [[1, 1]])
    for (let calls = 1; calls < PLAIN_CALLS; calls++) send([100])
    asked.length = 0
    send([100, 100])
    assert.deepEqual(asked, [[2], [1, 1]], 'it is tried again after a while')
  })

  it('tell what is wrong with the first of them, and the next are joined again', () => {
    const { asked, send } = senderOn(() => -EMSGSIZE)
    assert.equal(send([1500, 1500]), -EMSGSIZE)
    assert.equal(send([1500, 1500]), -EMSGSIZE)
    assert.deepEqual(asked, [[2], [1, 1], [2], [1, 1]])
  })

  it('wait while the socket is full', () => {
    const { asked, send } = senderOn(() => -EAGAIN)
    assert.equal(send([100, 100]), -EAGAIN)
    assert.deepEqual(asked, [[2]])
  })

  it('are a message each on macOS', () => {
    const { asked, send } = senderOn(all, darwinLayout)
    assert.equal(send([100, 100, 100]), 3)
    assert.deepEqual(asked, [[1, 1, 1]])
  })
})
