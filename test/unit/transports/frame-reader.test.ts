import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { FrameList, LIST } from '#src/dataplane/frame-list.js'
import { FramePool } from '#src/dataplane/frame-pool.js'
import { createOs } from '#src/os/os.js'
import { FrameReader } from '#src/transports/stream/frame-reader.js'
import { encodePrefix, type FramingName } from '#src/transports/stream/framing.js'
import { Random, randomSeed } from '../../support/random.js'

const EAGAIN = 11

describe(`FrameReader (TAPSWITCH_SEED=${randomSeed})`, () => {
  let pool: FramePool
  let list: FrameList
  /** What each read brings. */
  let pieces: Uint8Array[]
  let nextPiece = 0
  const os = {
    ...createOs(),
    receiveBytes: (_fd: number, address: number, length: number) => {
      const piece = pieces[nextPiece++]
      if (piece === undefined) return -EAGAIN
      assert.ok(piece.length <= length)
      pool.bytes.set(piece, address - pool.address)
      return piece.length
    },
  }

  beforeEach(() => {
    pool = new FramePool(0, 1518, 8)
    list = new FrameList()
    pieces = []
  })

  /** All frames that the pieces hold, as the engine gets them; lengths of those that are too long to be read. */
  const drain = (reader: FrameReader): { frames: Uint8Array[]; skipped: number[]; broken: boolean } => {
    const frames: Uint8Array[] = []
    const skipped: number[] = []
    nextPiece = 0
    while (reader.read(0) > 0) {
      do {
        const count = reader.parse(list)
        if (count < 0) return { frames, skipped, broken: true }
        for (let i = 0; i < count; i++) {
          const [at, length] = [list.offset[i] as number, list.length[i] as number]
          if (length > pool.capacity) skipped.push(length)
          else frames.push(pool.bytes.slice(at, at + length))
        }
      } while (list.more)
      assert.equal(reader.holding, false)
    }
    return { frames, skipped, broken: false }
  }

  const streamOf = (frames: readonly Uint8Array[], framing: FramingName) =>
    Buffer.concat(frames.flatMap(each => [encodePrefix(framing, each.length), each]))

  const cut = (bytes: Uint8Array, next: () => number): Uint8Array[] => {
    const parts: Uint8Array[] = []
    for (let at = 0; at < bytes.length; ) {
      const length = next()
      parts.push(bytes.subarray(at, at + length))
      at += length
    }
    return parts
  }

  for (const framing of ['qemu', 'hyperkit'] as const) {
    it(`finds the same frames however the stream is cut, framing ${framing}`, () => {
      for (let round = 0; round < 30; round++) {
        const random = new Random(randomSeed + round)
        const frames = Array.from({ length: random.between(1, 300) }, () => {
          const bytes = new Uint8Array(random.between(1, 1519))
          random.fill(bytes)
          return bytes
        })
        const longest = [2, 3, 40, 2000, 200_000][round % 5] as number
        pieces = cut(streamOf(frames, framing), () => random.between(1, longest))
        const { frames: found, broken } = drain(new FrameReader(os, pool, framing))
        assert.equal(broken, false)
        assert.equal(found.length, frames.length)
        for (const [i, bytes] of found.entries()) assert.deepEqual(bytes, frames[i])
      }
    })
  }

  it('hands over no more than a list at a time, and the rest before it reads again', () => {
    const frames = Array.from({ length: 2 * LIST + 5 }, (_, i) => Uint8Array.of(i & 255, i >> 8))
    pieces = [streamOf(frames, 'qemu')]
    nextPiece = 0
    const reader = new FrameReader(os, pool, 'qemu')
    reader.read(0)
    const counts: number[] = []
    do counts.push(reader.parse(list))
    while (list.more)
    assert.deepEqual(counts, [LIST, LIST, 5])
  })

  it('announces a frame that is too long by its length, skips it, and finds the next', () => {
    const long = new Uint8Array(60_000).fill(1)
    const short = Uint8Array.of(1, 2, 3)
    const bytes = streamOf([short, long, short, long, short], 'qemu')
    for (const size of [1, 1000, 70_000, bytes.length]) {
      pieces = cut(bytes, () => size)
      const { frames, skipped } = drain(new FrameReader(os, pool, 'qemu'))
      assert.deepEqual([frames.length, skipped], [3, [60_000, 60_000]])
      for (const each of frames) assert.deepEqual(each, short)
    }
  })

  for (const [what, length] of [
    ['0', 0],
    ['more than QEMU sends', 69_633],
    ['the largest number', 0xffff_ffff],
  ] as const) {
    it(`gives up at a length of ${what}, after the frames before it`, () => {
      const good = Uint8Array.of(1, 2, 3)
      const prefix = Buffer.alloc(4)
      prefix.writeUInt32BE(length)
      pieces = [Buffer.concat([streamOf([good, good], 'qemu'), prefix, Buffer.alloc(1000)])]
      const { frames, broken } = drain(new FrameReader(os, pool, 'qemu'))
      assert.deepEqual([frames.length, broken], [2, true])
    })
  }

  it('can be followed by another reader at any byte', () => {
    const random = new Random(randomSeed)
    const frames = Array.from({ length: 20 }, (_, i) => {
      const bytes = new Uint8Array(i % 5 === 4 ? 5000 : random.between(1, 100))
      random.fill(bytes)
      return bytes
    })
    const bytes = streamOf(frames, 'qemu')
    for (let at = 1; at < bytes.length; at += 7) {
      const first = new FrameReader(os, pool, 'qemu')
      pieces = [bytes.subarray(0, at)]
      const before = drain(first)
      const second = new FrameReader(os, pool, 'qemu')
      const { input, skip } = first.partial
      second.restore(structuredClone(input), skip)
      pieces = [bytes.subarray(at)]
      const after = drain(second)
      assert.equal(before.frames.length + after.frames.length, 16)
      assert.equal(before.skipped.length + after.skipped.length, 4)
      assert.deepEqual(
        Buffer.concat([...before.frames, ...after.frames]),
        Buffer.concat(frames.filter(({ length }) => length < 1000)),
      )
    }
  })

  it('says nothing of a frame that is too long until a slot full of it has come', () => {
    const before = new FrameReader(os, pool, 'qemu')
    pieces = [streamOf([new Uint8Array(1518).fill(0xaa)], 'qemu')]
    drain(before)
    const reader = new FrameReader(os, pool, 'qemu')
    const long = streamOf([new Uint8Array(60_000).fill(0xbb)], 'qemu')
    for (const piece of [long.subarray(0, 4), long.subarray(4, 5), long.subarray(5, 4 + pool.capacity - 1)]) {
      nextPiece = 0
      pieces = [piece]
      reader.read(0)
      assert.equal(reader.parse(list), 0, `announced after ${piece.length} bytes more`)
      // Another connection reads into the same buffer.
      pieces.push(streamOf([new Uint8Array(1518).fill(0xaa)], 'qemu'))
      before.read(0)
      assert.equal(before.parse(list), 1)
    }
    nextPiece = 0
    pieces = [long.subarray(4 + pool.capacity - 1, 4 + pool.capacity)]
    reader.read(0)
    assert.deepEqual([reader.parse(list), list.length[0]], [1, 60_000])
    const at = list.offset[0] as number
    assert.ok(pool.bytes.subarray(at, at + pool.capacity).every(octet => octet === 0xbb))
    pieces.push(Buffer.concat([long.subarray(4 + pool.capacity), streamOf([Uint8Array.of(1, 2, 3)], 'qemu')]))
    reader.read(0)
    assert.deepEqual([reader.parse(list), list.length[0]], [1, 3])
  })

  it('takes no more read buffers than are in use', () => {
    const reader = new FrameReader(os, pool, 'qemu')
    nextPiece = 0
    pieces = [Uint8Array.of(0, 0, 0, 2, 1)]
    assert.equal(pool.sparesBuffer, true)
    reader.read(0)
    reader.parse(list)
    for (let i = 0; i < 100; i++) assert.equal(reader.read(0), -EAGAIN)
    nextPiece = 0
    pieces = [Buffer.concat([Uint8Array.of(1), streamOf(new Array(LIST + 1).fill(Uint8Array.of(7)), 'qemu')])]
    reader.read(0)
    reader.parse(list)
    assert.equal(reader.holding, true)
    reader.close()
    reader.close()
    const taken: number[] = []
    while (pool.sparesBuffer) taken.push(pool.takeBuffer())
    assert.equal(new Set(taken).size, taken.length)
    for (const buffer of taken) pool.releaseBuffer(buffer)
  })
})
