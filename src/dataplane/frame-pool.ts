/**
 * The memory that frames live in: equal slots in one arena.
 *
 *     | headroom | frame ........................ | headroom | frame ...
 *       64 bytes   capacity >= the maximum + 1
 *
 * Headroom leaves space in front of a frame for what a transport has to put there (a length prefix, a VXLAN header) without
 * copying it. The byte beyond the maximum is how a frame that is too long is told from one that just fits.
 *
 * A slot is counted: the receive batch that owns it holds one reference, and each egress queue in which its frame waits
 * holds another. A frame sent to ten ports at once is never copied; a slot whose last reference goes is free again.
 *
 * Free slots are a stack, so a quiet switch keeps using the same few, still in cache, and the arena's other pages are never
 * touched: memory the kernel only promised does not count as resident.
 */
import { NativeMemory } from '../os/native-memory.js'

const HEADROOM = 64
const ALIGNMENT = 64

export class FramePool {
  /** Longest datagram a slot can take; one more than the maximum frame at least. */
  readonly capacity: number
  readonly slots: number
  readonly bytes: Uint8Array
  readonly address: number
  readonly #memory: NativeMemory
  readonly #stride: number
  readonly #references: Int32Array
  readonly #free: Int32Array
  #freeCount: number

  /** As many slots as fit into `totalBytes`, but no fewer than `minSlots`. */
  constructor(totalBytes: number, maxFrameSize: number, minSlots: number) {
    this.#stride = Math.ceil((HEADROOM + maxFrameSize + 1) / ALIGNMENT) * ALIGNMENT
    this.capacity = this.#stride - HEADROOM
    this.slots = Math.max(minSlots, Math.floor(totalBytes / this.#stride))
    this.#memory = new NativeMemory(this.slots * this.#stride)
    this.bytes = this.#memory.bytes
    this.address = this.#memory.address
    this.#references = new Int32Array(this.slots)
    this.#free = new Int32Array(this.slots)
    for (let i = 0; i < this.slots; i++) this.#free[i] = this.slots - 1 - i
    this.#freeCount = this.slots
  }

  get free(): number {
    return this.#freeCount
  }

  /** A slot for the caller, as the offset of its frame in the arena. Throws when none is free; the queues leave a reserve. */
  take(): number {
    if (this.#freeCount === 0) throw new Error('frame pool: no slot is free')
    const slot = this.#free[--this.#freeCount]
    this.#references[slot] = 1
    return slot * this.#stride + HEADROOM
  }

  /** One more owner for the slot of this frame. */
  retain(offset: number): void {
    this.#references[this.#slotOf(offset)]++
  }

  /** One owner less; the last one frees the slot. */
  release(offset: number): void {
    const slot = this.#slotOf(offset)
    if (--this.#references[slot] === 0) this.#free[this.#freeCount++] = slot
  }

  /** True when somebody besides the caller owns the slot. */
  shared(offset: number): boolean {
    return this.#references[this.#slotOf(offset)] > 1
  }

  #slotOf(offset: number): number {
    return (offset / this.#stride) | 0
  }
}
