/**
 * Frames that wait for a port which cannot take them now: a ring of references into the frame pool.
 *
 * A queue refuses a frame when it is full, or when it would hold more than is left free in the pool. The second rule is
 * the dynamic threshold of shared-buffer switches (Choudhury and Hahne, 1998): one congested port may take half of the
 * memory, two a third each, and there is always room for the next port. No frame that was accepted is ever pushed out.
 */
import type { FramePool } from './frame-pool.js'
import { BATCH } from './receive-batch.js'

/** Slots that queues never take, so that there is always one to receive into. */
export const POOL_RESERVE = 128

export class EgressQueue {
  /** Offsets and lengths of the waiting frames; the first `count` from `head` on, wrapping at the end. */
  readonly offset: Int32Array
  readonly length: Int32Array
  head = 0
  count = 0
  readonly #limit: number
  readonly #mask: number
  readonly #pool: FramePool

  constructor(pool: FramePool, limit: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, limit)))
    this.offset = new Int32Array(size)
    this.length = new Int32Array(size)
    this.#limit = limit
    this.#mask = size - 1
    this.#pool = pool
  }

  /** Takes a reference to the frame, or a copy of one that lies in a read buffer; false when it must be dropped. */
  push(offset: number, length: number): boolean {
    if (this.count >= this.#limit || this.count >= this.#pool.free - POOL_RESERVE) return false
    return this.#append(offset, length)
  }

  /**
   * The same for a frame that was sent in part, and so goes first and cannot be dropped: no limit holds. False only
   * when the memory is used up to what the next batch needs. A frame in a slot costs one too: the batch it came in
   * takes another.
   */
  pushUnfinished(offset: number, length: number): boolean {
    if (this.count > 0) throw new Error('a frame sent in part can only be the first to wait')
    return this.#pool.free > BATCH && this.#append(offset, length)
  }

  /**
   * Takes over what waits in another queue, in order and without asking for memory again: up to the limit, but `least`
   * frames at least. Returns how many frames did not fit and were let go. The other queue is empty after it.
   */
  takeOver(other: EgressQueue, least: number): number {
    const kept = Math.min(other.count, Math.max(this.#limit, least))
    for (let i = 0; i < kept; i++) {
      const from = (other.head + i) & other.#mask
      this.offset[i] = other.offset[from]
      this.length[i] = other.length[from]
    }
    this.head = 0
    this.count = kept
    const refused = other.count - kept
    for (let i = kept; i < other.count; i++) this.#pool.release(other.offset[(other.head + i) & other.#mask])
    other.count = 0
    return refused
  }

  /** How many of the waiting frames lie behind each other in the ring, from `head`. */
  contiguous(): number {
    return Math.min(this.count, this.offset.length - this.head)
  }

  /** Lets go of the first `count` frames. */
  shift(count: number): void {
    for (let i = 0; i < count; i++) this.#pool.release(this.offset[(this.head + i) & this.#mask])
    this.head = (this.head + count) & this.#mask
    this.count -= count
  }

  #append(offset: number, length: number): boolean {
    const kept = this.#pool.keep(offset, length)
    if (kept < 0) return false
    const at = (this.head + this.count) & this.#mask
    this.offset[at] = kept
    this.length[at] = length
    this.count++
    return true
  }

  get limit(): number {
    return this.#limit
  }
}
