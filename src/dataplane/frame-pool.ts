/**
 * The memory that frames live in: equal slots in one arena.
 *
 *     | headroom | frame ........................ | headroom | frame ...
 *       64 bytes   capacity >= the maximum + 1
 *
 * Headroom leaves space in front of a frame for what a transport has to put there (a length prefix, a VXLAN header)
 * without copying it. The byte beyond the maximum is how a frame that is too long is told from one that just fits.
 *
 * A slot is counted: the receive batch that owns it holds one reference, and each egress queue in which its frame waits
 * holds another. A frame sent to ten ports at once is never copied; a slot whose last reference goes is free again.
 *
 * Behind the slots lie a few *read buffers*, for streams: hundreds of frames come with one read and are switched where
 * they lie, so that an offset into the arena means a frame here too. Such a frame has no headroom, since what is in
 * front of it is another frame, and no owner: it is gone when the buffer is read into again. `isSlot` tells the two
 * apart; a holder of a frame takes `keep`.
 *
 *     | slot | slot | ... | slot | read buffer | read buffer | ...
 *
 * Free slots are a stack, so a quiet switch keeps using the same few, still in cache, and the arena's other pages are
 * never touched: memory the kernel only promised does not count as resident.
 */
import { NativeMemory } from '../os/native-memory.js'

/** Bytes in front of the frame in a slot that a transport may write to until its `transmit` returns. */
export const HEADROOM = 64
const ALIGNMENT = 64
/**
 * Bytes that one read from a stream may bring. Measured with 64-byte frames, nanoseconds of CPU for a frame: 256 KiB:
 * 40, 512 KiB: 44, 1 MiB: 55, since the second-level cache holds no more. One stream delays the others by what a buffer
 * of frames takes, 0.2 ms.
 */
export const READ_BUFFER = 256 * 1024
/** Streams whose unswitched frames may wait in place at a time, less one; see `sparesBuffer`. Arbitrary. */
const READ_BUFFERS = 9

export class FramePool {
  /** Longest datagram a slot can take; one more than the maximum frame at least. */
  readonly capacity: number
  readonly slots: number
  readonly bytes: Uint8Array
  /** The same memory, for words that are not aligned. */
  readonly view: DataView
  readonly address: number
  readonly #memory: NativeMemory
  readonly #slotsEnd: number
  readonly #freeBuffers: number[] = []
  /** By read buffer in use: who took it. */
  readonly #bufferUsers = new Map<number, number>()
  /** The endpoint that calls `takeBuffer` next, by its number in the data plane. */
  bufferUser = 0
  readonly #stride: number
  readonly #references: Int32Array
  readonly #free: Int32Array
  #freeCount: number

  /** As many slots as fit into `totalBytes`, but no fewer than `minSlots`. */
  constructor(totalBytes: number, maxFrameSize: number, minSlots: number) {
    this.#stride = strideFor(maxFrameSize)
    this.capacity = this.#stride - HEADROOM
    this.slots = Math.max(minSlots, Math.floor(totalBytes / this.#stride))
    this.#slotsEnd = this.slots * this.#stride
    // Before each read buffer, room for the frame that the read before it cut off, its length prefix included.
    const buffer = this.#stride + READ_BUFFER
    this.#memory = new NativeMemory(this.#slotsEnd + READ_BUFFERS * buffer)
    this.bytes = this.#memory.bytes
    this.view = new DataView(this.#memory.buffer)
    this.address = this.#memory.address
    this.#references = new Int32Array(this.slots)
    this.#free = new Int32Array(this.slots)
    for (let i = 0; i < this.slots; i++) this.#free[i] = this.slots - 1 - i
    this.#freeCount = this.slots
    for (let i = READ_BUFFERS - 1; i >= 0; i--) this.#freeBuffers.push(this.#slotsEnd + i * buffer + this.#stride)
  }

  /** Bytes of memory that a pool made with the same arguments takes. */
  static bytesFor(totalBytes: number, maxFrameSize: number, minSlots: number): number {
    const stride = strideFor(maxFrameSize)
    return Math.max(minSlots * stride, totalBytes) + READ_BUFFERS * (stride + READ_BUFFER)
  }

  get free(): number {
    return this.#freeCount
  }

  /**
   * A slot for the caller, as the offset of its frame in the arena. Throws when none is free; the queues leave a
   * reserve.
   */
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

  /** True for a frame in a slot: it can be retained, and its headroom is free. False for one in a read buffer. */
  isSlot(offset: number): boolean {
    return offset < this.#slotsEnd
  }

  /**
   * One more owner for the frame, wherever it lies: a slot is retained, what lies in a read buffer is copied into a
   * slot. Returns where it stays; -1 when no slot is free.
   */
  keep(offset: number, length: number): number {
    if (this.isSlot(offset)) {
      this.retain(offset)
      return offset
    }
    if (this.#freeCount === 0) return -1
    const slot = this.take()
    this.bytes.copyWithin(slot, offset, offset + length)
    return slot
  }

  /** A read buffer for the caller: READ_BUFFER bytes at the offset returned, and `capacity + HEADROOM` before it. */
  takeBuffer(): number {
    const buffer = this.#freeBuffers.pop()
    if (buffer === undefined) throw new Error('frame pool: no read buffer is free')
    this.#bufferUsers.set(buffer, this.bufferUser)
    return buffer
  }

  releaseBuffer(buffer: number): void {
    if (this.#bufferUsers.delete(buffer)) this.#freeBuffers.push(buffer)
  }

  /** Frees the read buffers of a user that will not release them itself. */
  reclaimBuffers(user: number): void {
    for (const [buffer, holder] of this.#bufferUsers) if (holder === user) this.releaseBuffer(buffer)
  }

  /** True while a read buffer that is in use may stay so: there is another for whoever reads next. */
  get sparesBuffer(): boolean {
    return this.#freeBuffers.length > 0
  }

  #slotOf(offset: number): number {
    return (offset / this.#stride) | 0
  }
}

/** Bytes from one slot to the next. */
function strideFor(maxFrameSize: number): number {
  return Math.ceil((HEADROOM + maxFrameSize + 1) / ALIGNMENT) * ALIGNMENT
}
