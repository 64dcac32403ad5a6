/**
 * From a stream of bytes to frames, in place.
 *
 *     carry |length|frame ........|length|frame ...|length|fra      <- one read
 *           `- put back in front of the next read -'---------'
 *
 * A read goes into a read buffer of the pool, and what lies between two prefixes is a frame. What the read cut off is
 * kept aside, because other connections use the same buffers, and put in front of the next read: one copy of one frame
 * for each read of hundreds.
 *
 * A frame too long for the pool is handed to the core with its length, to be refused and counted, and the rest of it is
 * skipped. That happens once as many of its bytes have arrived as a slot holds, never before: what lies behind the last
 * byte read is another connection's, and captures and traces copy a refused frame too, up to `FramePool.capacity`.
 */
import type { FrameList } from '../../dataplane/frame-list.js'
import { LIST } from '../../dataplane/frame-list.js'
import { type FramePool, HEADROOM, READ_BUFFER } from '../../dataplane/frame-pool.js'
import type { Os } from '../../os/os.js'
import { type FramingName, MAX_LENGTH, prefixBytes } from './framing.js'

const NONE = -1

export class FrameReader {
  readonly #os: Os
  readonly #pool: FramePool
  readonly #prefix: number
  /** The read buffer that holds bytes not parsed yet; NONE when there are none. */
  #buffer = NONE
  #at = 0
  #end = 0
  /** The beginning of a frame. Made when first needed. */
  #carry: Uint8Array | null = null
  #carried = 0
  #skip = 0

  constructor(os: Os, pool: FramePool, framing: FramingName) {
    this.#os = os
    this.#pool = pool
    this.#prefix = prefixBytes(framing)
  }

  /** Bytes of the last read are still to be parsed. */
  get holding(): boolean {
    return this.#buffer !== NONE
  }

  /** Reads what has come, at most a buffer. Returns the bytes read, 0 at the end, or a negated error number. */
  read(fd: number): number {
    const pool = this.#pool
    const buffer = pool.takeBuffer()
    const count = this.#os.receiveBytes(fd, pool.address + buffer, READ_BUFFER)
    if (count <= 0) {
      pool.releaseBuffer(buffer)
      return count
    }
    this.#take(buffer, count)
    return count
  }

  /** Fills the list with the next frames. Returns how many, or NONE (-1) when what comes next cannot be a length. */
  parse(list: FrameList): number {
    const { view, capacity } = this.#pool
    const { offset, length } = list
    const prefix = this.#prefix
    const end = this.#end
    let at = this.#at
    let count = 0
    list.more = false
    while (end - at >= prefix) {
      if (count === LIST) {
        list.more = true
        this.#at = at
        return count
      }
      const size = prefix === 4 ? view.getUint32(at) : view.getUint16(at, true)
      const start = at + prefix
      const credible = (size - 1) >>> 0 < MAX_LENGTH
      if (!credible || start + size > end) {
        if (!credible) {
          this.#at = at
          list.more = count > 0
          return count > 0 ? count : NONE
        }
        if (size <= capacity || start + capacity > end) break
        this.#skip = start + size - end
      }
      offset[count] = start
      length[count++] = size
      at = start + size
    }
    this.#keepRest(Math.min(at, end), end)
    return count
  }

  /** Lets go of the buffer, with whatever is in it. */
  close(): void {
    if (this.#buffer !== NONE) this.#pool.releaseBuffer(this.#buffer)
    this.#buffer = NONE
  }

  /** What was read of a frame that is not complete; nothing else must be held. */
  get partial(): { input: Uint8Array; skip: number } {
    if (this.holding) throw new Error('frames that were read have not been taken')
    return { input: this.#carry?.slice(0, this.#carried) ?? new Uint8Array(0), skip: this.#skip }
  }

  /** Goes on where another reader was. */
  restore(input: Uint8Array, skip: number): void {
    this.#skip = skip
    this.#keep(input)
  }

  #take(buffer: number, count: number): void {
    const skipped = Math.min(this.#skip, count)
    this.#skip -= skipped
    this.#buffer = buffer
    this.#at = buffer + skipped - this.#carried
    this.#end = buffer + count
    if (this.#carried > 0) {
      this.#pool.bytes.set((this.#carry as Uint8Array).subarray(0, this.#carried), this.#at)
      this.#carried = 0
    }
  }

  #keepRest(at: number, end: number): void {
    if (at < end) this.#keep(this.#pool.bytes.subarray(at, end))
    this.close()
  }

  #keep(bytes: Uint8Array): void {
    this.#carry ??= new Uint8Array(this.#pool.capacity + HEADROOM)
    this.#carry.set(bytes)
    this.#carried = bytes.length
  }
}
