import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { FrameList } from '#src/dataplane/frame-list.js'
import { FramePool } from '#src/dataplane/frame-pool.js'
import { GatherVector } from '#src/os/gather-vector.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { createOs } from '#src/os/os.js'
import { streamPair } from '#src/os/stream-socket.js'
import { closeSocket, sizeSocketBuffers } from '#src/os/unix-socket.js'
import { FrameReader } from '#src/transports/stream/frame-reader.js'
import { FrameWriter, Prefixes } from '#src/transports/stream/frame-writer.js'
import { encodePrefix, type FramingName } from '#src/transports/stream/framing.js'
import { Random, randomSeed } from '../../support/random.js'

const os = createOs()
const { EAGAIN } = os.layout.errno

describe(`FrameWriter (TAPSWITCH_SEED=${randomSeed})`, () => {
  let pool: FramePool
  let fd: number
  let far: number
  const sink = new NativeMemory(1024 * 1024)

  beforeEach(() => {
    pool = new FramePool(0, 1518, 600)
    ;[fd, far] = streamPair(os.layout)
  })
  afterEach(() => {
    closeSocket(fd)
    closeSocket(far)
  })

  const writer = (framing: FramingName = 'qemu') =>
    new FrameWriter(pool, new GatherVector(os.layout), new Prefixes(), framing)

  /** What the far end reads, at most so much. */
  const read = (atMost = sink.bytes.length): Buffer => {
    const count = os.receiveBytes(far, sink.address, atMost)
    return count <= 0 ? Buffer.alloc(0) : Buffer.from(sink.bytes.slice(0, count))
  }

  const streamOf = (frames: readonly Uint8Array[], framing: FramingName = 'qemu') =>
    Buffer.concat(frames.flatMap(each => [encodePrefix(framing, each.length), each]))

  const randomFrames = (random: Random, count: number) =>
    Array.from({ length: count }, () => {
      const bytes = new Uint8Array(random.between(14, 1513))
      random.fill(bytes)
      return bytes
    })

  /** Puts frames into slots. */
  const inSlots = (frames: readonly Uint8Array[]) => {
    const offsets = Int32Array.from(frames, each => {
      const offset = pool.take()
      pool.bytes.set(each, offset)
      // Whatever another transport left there.
      pool.bytes.fill(0xee, offset - 64, offset)
      return offset
    })
    return { offsets, lengths: Int32Array.from(frames, ({ length }) => length) }
  }

  /** Reads frames from a stream, so that they lie in place. */
  const inPlace = (frames: readonly Uint8Array[], framing: FramingName) => {
    const bytes = streamOf(frames, framing)
    const list = new FrameList()
    const source = {
      ...os,
      receiveBytes: (_fd: number, address: number) => {
        pool.bytes.set(bytes, address - pool.address)
        return bytes.length
      },
    }
    const reader = new FrameReader(source, pool, framing)
    reader.read(0)
    assert.equal(reader.parse(list), frames.length)
    return { offsets: list.offset, lengths: list.length }
  }

  for (const framing of ['qemu', 'hyperkit'] as const) {
    for (const [place, put] of [
      ['slots', inSlots],
      ['a stream with 4-byte lengths', (frames: readonly Uint8Array[]) => inPlace(frames, 'qemu')],
      ['a stream with 2-byte lengths', (frames: readonly Uint8Array[]) => inPlace(frames, 'hyperkit')],
    ] as const) {
      it(`sends frames from ${place} behind lengths as ${framing} wants them`, () => {
        const frames = randomFrames(new Random(randomSeed), 50)
        const { offsets, lengths } = put(frames)
        assert.equal(writer(framing).send(fd, offsets, lengths, 0, 50), 50)
        assert.deepEqual(read(), streamOf(frames, framing))
      })
    }
  }

  it('goes on in the middle of a frame, however little is taken at a time', () => {
    sizeSocketBuffers(os.layout, fd, 16384, 0)
    const random = new Random(randomSeed)
    for (let round = 0; round < 20; round++) {
      const frames = randomFrames(random, 200)
      const { offsets, lengths } = inSlots(frames)
      const subject = writer()
      const got: Buffer[] = []
      let done = 0
      for (let calls = 0; done < 200; calls++) {
        assert.ok(calls < 100_000)
        const sent = subject.send(fd, offsets, lengths, done, 200 - done)
        if (sent < 0) assert.equal(sent, -EAGAIN)
        else done += sent
        got.push(read(random.between(1, 3000)))
      }
      assert.equal(subject.unfinished, false)
      for (let more = read(); more.length > 0; more = read()) got.push(more)
      assert.deepEqual(Buffer.concat(got), streamOf(frames))
      for (const offset of offsets) pool.release(offset)
    }
  })

  it('can be followed by another writer in the middle of a frame', () => {
    sizeSocketBuffers(os.layout, fd, 16384, 0)
    const random = new Random(randomSeed)
    const frames = randomFrames(random, 200)
    const { offsets, lengths } = inSlots(frames)
    const first = writer()
    const done = first.send(fd, offsets, lengths, 0, 200)
    assert.ok(done < 200)
    const rest = first.rest(first.unfinished ? (frames[done] as Uint8Array) : null)
    const begun = first.unfinished ? done + 1 : done
    const second = writer()
    second.restore(structuredClone(rest))
    const got = [read()]
    for (let at = begun; at < 200; ) {
      const sent = second.send(fd, offsets, lengths, at, 200 - at)
      if (sent > 0) at += sent
      got.push(read())
    }
    for (let more = read(); more.length > 0; more = read()) got.push(more)
    assert.deepEqual(Buffer.concat(got), streamOf(frames))
  })

  it('sends more frames than one call has ranges for', () => {
    const frames = Array.from({ length: 590 }, (_, i) => new Uint8Array(14).fill(i))
    const { offsets, lengths } = inPlace(frames, 'hyperkit')
    assert.equal(writer().send(fd, offsets, lengths, 0, 590), 590)
    assert.deepEqual(read(), streamOf(frames))
  })
})
