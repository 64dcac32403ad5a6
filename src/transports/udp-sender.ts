/**
 * Sends runs of frames as UDP datagrams to one address, from where they lie in the pool. One for each data plane and
 * socket kind.
 *
 * Frames of equal length that follow each other are one message, which the kernel cuts into datagrams
 * (os/segment-vector.ts). It may refuse to: when a frame does not fit the path, when the way out cannot compute
 * checksums (EIO), when it is older than such messages. Then the same frames are sent one by one; if that goes well,
 * the fault was with the message, and it is not tried again for a while.
 */
import type { FramePool } from '../dataplane/frame-pool.js'
import { BATCH } from '../dataplane/receive-batch.js'
import type { NativeMemory } from '../os/native-memory.js'
import type { Os } from '../os/os.js'
import { SegmentVector } from '../os/segment-vector.js'

/** Calls without joined frames after they were refused; arbitrary, seconds under load. */
export const PLAIN_CALLS = 10_000

export class UdpSender {
  readonly #os: Os
  readonly #pool: FramePool
  readonly #vector: SegmentVector
  #plainCalls = 0

  constructor(os: Os, pool: FramePool) {
    this.#os = os
    this.#pool = pool
    this.#vector = new SegmentVector(os.layout, BATCH)
  }

  /** To a raw address of this length. Returns how many frames were taken from the front, or a negated error number. */
  send(
    fd: number,
    to: NativeMemory,
    toLength: number,
    offsets: Int32Array,
    lengths: Int32Array,
    first: number,
    count: number,
  ): number {
    if (this.#plainCalls > 0) {
      this.#plainCalls--
      return this.#sendAs(false, fd, to, toLength, offsets, lengths, first, count)
    }
    const taken = this.#sendAs(true, fd, to, toLength, offsets, lengths, first, count)
    if (taken >= 0 || this.#vector.frames[0] === 1 || isFull(this.#os, taken)) return taken
    const oneByOne = this.#sendAs(false, fd, to, toLength, offsets, lengths, first, count)
    if (oneByOne > 0) this.#plainCalls = PLAIN_CALLS
    return oneByOne
  }

  #sendAs(
    joined: boolean,
    fd: number,
    to: NativeMemory,
    toLength: number,
    offsets: Int32Array,
    lengths: Int32Array,
    first: number,
    count: number,
  ): number {
    const vector = this.#vector
    const { address } = this.#pool
    vector.clear()
    for (let i = first; i < first + count; i++) {
      if (joined && vector.join(address + offsets[i], lengths[i])) continue
      vector.add(to.address, toLength, address + offsets[i], lengths[i])
    }
    const sent = this.#os.sendMessages(fd, vector, vector.count)
    if (sent <= 0) return sent
    let taken = 0
    for (let m = 0; m < sent; m++) taken += vector.frames[m]
    return taken
  }
}

/** Whether the error of a send says nothing but: later. */
export function isFull({ layout }: Os, result: number): boolean {
  const { EAGAIN, ENOBUFS, ENOMEM, EINTR } = layout.errno
  return result === 0 || result === -EAGAIN || result === -ENOBUFS || result === -ENOMEM || result === -EINTR
}
