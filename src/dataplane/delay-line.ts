/**
 * Frames that leave at a given time: a binary heap of references into the frame pool, by time, and by arrival among
 * those of one time. Refuses what it has no room for, by the same rules as an egress queue.
 */
import { POOL_RESERVE } from './egress-queue.js'
import type { FramePool } from './frame-pool.js'

export class DelayLine {
  count = 0
  readonly #pool: FramePool
  readonly #dueAt: Float64Array
  readonly #arrival: Float64Array
  readonly #offset: Int32Array
  readonly #length: Int32Array
  #arrivals = 0

  constructor(pool: FramePool, limit: number) {
    this.#pool = pool
    this.#dueAt = new Float64Array(limit)
    this.#arrival = new Float64Array(limit)
    this.#offset = new Int32Array(limit)
    this.#length = new Int32Array(limit)
  }

  get nextDueAt(): number {
    return this.count === 0 ? Number.POSITIVE_INFINITY : this.#dueAt[0]
  }

  get nextOffset(): number {
    return this.#offset[0]
  }

  get nextLength(): number {
    return this.#length[0]
  }

  /** Takes a reference to the frame, or a copy of one that lies in a read buffer; false when it must be dropped. */
  push(dueAt: number, offset: number, length: number): boolean {
    if (this.count >= this.#dueAt.length || this.count >= this.#pool.free - POOL_RESERVE) return false
    const kept = this.#pool.keep(offset, length)
    if (kept < 0) return false
    const arrival = this.#arrivals++
    let at = this.count++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.#dueAt[parent] <= dueAt) break
      this.#move(parent, at)
      at = parent
    }
    this.#put(at, dueAt, arrival, kept, length)
    return true
  }

  /** Takes the first one off. Its reference is the caller's now. */
  pop(): void {
    const last = --this.count
    const dueAt = this.#dueAt[last]
    const arrival = this.#arrival[last]
    let at = 0
    for (let child = 1; child < last; child = 2 * at + 1) {
      if (child + 1 < last && this.#isBefore(child + 1, this.#dueAt[child], this.#arrival[child])) child++
      if (!this.#isBefore(child, dueAt, arrival)) break
      this.#move(child, at)
      at = child
    }
    this.#put(at, dueAt, arrival, this.#offset[last], this.#length[last])
  }

  /** Lets go of all frames. Returns how many there were. */
  clear(): number {
    const { count } = this
    for (let i = 0; i < count; i++) this.#pool.release(this.#offset[i])
    this.count = 0
    return count
  }

  #isBefore(at: number, dueAt: number, arrival: number): boolean {
    return this.#dueAt[at] < dueAt || (this.#dueAt[at] === dueAt && this.#arrival[at] < arrival)
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#dueAt[from], this.#arrival[from], this.#offset[from], this.#length[from])
  }

  #put(at: number, dueAt: number, arrival: number, offset: number, length: number): void {
    this.#dueAt[at] = dueAt
    this.#arrival[at] = arrival
    this.#offset[at] = offset
    this.#length[at] = length
  }
}
