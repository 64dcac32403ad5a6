/**
 * The frames that one receive call brought: up to BATCH slots of the pool, wired into a message vector once. A
 * transport fills in what came, the engine switches it, and `recycle` swaps the slots that an egress queue kept for
 * fresh ones.
 */
import type { Layout } from '../os/layout.js'
import { MessageVector } from '../os/message-vector.js'
import type { FramePool } from './frame-pool.js'

/**
 * Frames for each call. Measured with 64-byte frames from one VM to another on one path, microseconds of CPU for a
 * frame, median of four: 8: 2.7, 16: 2.5, 32: 2.4, 64: 2.3, 128: 2.3. A port that is flooded delays its neighbours by
 * one batch, so it is no larger than that.
 */
export const BATCH = 64

export class ReceiveBatch {
  /** Where each frame starts in the pool's arena. */
  readonly offset = new Int32Array(BATCH)
  /**
   * Bytes, as sent. The core refuses a frame that is longer than the switch allows. Of a frame longer than
   * `FramePool.capacity`, that many bytes are in the slot and the kernel discarded the rest.
   */
  readonly length = new Int32Array(BATCH)
  /** Ingress port index; -1 for what the transport swallowed. */
  readonly port = new Int32Array(BATCH)
  readonly vector: MessageVector
  /**
   * The same slots without room for addresses, for sockets that are connected to their peer: 3 % less work for the
   * kernel.
   */
  readonly nameless: MessageVector
  readonly #pool: FramePool

  constructor(layout: Layout, pool: FramePool) {
    this.#pool = pool
    this.vector = new MessageVector(layout, BATCH, true)
    this.nameless = new MessageVector(layout, BATCH, false)
    for (let i = 0; i < BATCH; i++) this.#replace(i)
  }

  recycle(count: number): void {
    for (let i = 0; i < count; i++) {
      if (this.#pool.shared(this.offset[i])) {
        this.#pool.release(this.offset[i])
        this.#replace(i)
      }
    }
  }

  /** After a receive call that was not carried to its end: every message has room for a whole address again. */
  resetNames(): void {
    this.vector.resetNames(BATCH)
  }

  #replace(i: number): void {
    this.offset[i] = this.#pool.take()
    this.vector.setBuffer(i, this.#pool.address + this.offset[i], this.#pool.capacity)
    this.nameless.setBuffer(i, this.#pool.address + this.offset[i], this.#pool.capacity)
  }
}
