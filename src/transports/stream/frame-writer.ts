/**
 * From frames to a stream of bytes, without copying them.
 *
 * Frames that were read from a stream lie behind each other with their lengths between them, which is just what has to
 * be sent: a run of them is one range of memory, however many they are. A frame in a slot gets its length written into
 * the headroom. In front of a frame that was read with another framing there is neither; its length is a range of its
 * own. All ranges go out in one call.
 *
 * The kernel may stop in the middle of a frame. The rest of that frame must come next, whatever happens; how much of it
 * was sent is remembered here.
 */
import type { FramePool } from '../../dataplane/frame-pool.js'
import { type GatherVector, MAX_RANGES } from '../../os/gather-vector.js'
import { NativeMemory } from '../../os/native-memory.js'
import { type FramingName, prefixBytes } from './framing.js'

/** Lengths that have no place in front of their frames; shared by the writers of one endpoint. */
export class Prefixes extends NativeMemory {
  readonly view: DataView

  constructor() {
    super(MAX_RANGES * 4)
    this.view = new DataView(this.buffer)
  }
}

export class FrameWriter {
  readonly #pool: FramePool
  readonly #vector: GatherVector
  readonly #prefixes: Prefixes
  readonly #prefix: number
  /** Bytes of the next frame that were sent already, its prefix included. */
  #sent = 0
  /** The rest of a frame whose beginning another data plane sent. */
  #owed: NativeMemory | null = null
  #owedFrom = 0
  #owedTo = 0

  /** Several writers may share a vector and prefixes; a call uses them until it returns. */
  constructor(pool: FramePool, vector: GatherVector, prefixes: Prefixes, framing: FramingName) {
    this.#pool = pool
    this.#vector = vector
    this.#prefixes = prefixes
    this.#prefix = prefixBytes(framing)
  }

  /** The next frame was sent in part: it must come first in the next call. */
  get unfinished(): boolean {
    return this.#sent > 0
  }

  /** Sends frames in order. Returns how many are complete, or a negated error number when nothing was sent. */
  send(fd: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    if (this.#owed !== null) {
      const result = this.#sendOwed(fd)
      if (result <= 0) return result
    }
    let done = 0
    while (done < count) {
      const from = first + done
      const wired = this.#wire(offsets, lengths, from, count - done)
      const bytes = this.#vector.send(fd, this.#ranges)
      if (bytes < 0) return done > 0 ? done : bytes
      if (bytes < this.#bytes) return done + this.#complete(lengths, from, bytes)
      this.#sent = 0
      done += wired
    }
    return done
  }

  /** What is still to be sent of the frame that was sent in part; `frame` is that frame. */
  rest(frame: Uint8Array | null): Uint8Array {
    if (this.#owed !== null) return this.#owed.bytes.slice(this.#owedFrom, this.#owedTo)
    if (this.#sent === 0) return new Uint8Array(0)
    if (frame === null) throw new Error('the frame that was sent in part does not wait')
    const whole = new Uint8Array(this.#prefix + frame.length)
    this.#setPrefix(new DataView(whole.buffer), 0, frame.length)
    whole.set(frame, this.#prefix)
    return whole.subarray(this.#sent)
  }

  /** Goes on where another writer was: these bytes come before anything else. */
  restore(rest: Uint8Array): void {
    if (rest.length === 0) return
    this.#owed = new NativeMemory(rest.length)
    this.#owed.bytes.set(rest)
    this.#owedFrom = 0
    this.#owedTo = rest.length
  }

  #ranges = 0
  #bytes = 0

  /** Sets up as many frames as there are ranges for. Returns how many; their bytes and ranges are in fields. */
  #wire(offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const pool = this.#pool
    const vector = this.#vector
    const { view, address } = pool
    const prefix = this.#prefix
    let ranges = 0
    let bytes = 0
    // The range being extended; what was sent of the first frame is left out.
    let start = -1
    let end = -1
    let skip = this.#sent
    let i = first
    for (const last = first + count; i < last && ranges < MAX_RANGES - 2; i++) {
      const offset = offsets[i]
      const length = lengths[i]
      let at = offset - prefix
      const found = prefix === 4 ? view.getUint32(at) : view.getUint16(at, true)
      if (found !== length) {
        if (pool.isSlot(offset)) this.#setPrefix(view, at, length)
        else {
          if (end > start) vector.set(ranges++, address + start, end - start)
          this.#setPrefix(this.#prefixes.view, ranges * 4, length)
          vector.set(ranges, this.#prefixes.address + ranges * 4, prefix)
          ranges++
          bytes += prefix
          at = offset
          start = at
          end = at
        }
      }
      if (at !== end) {
        if (end > start) vector.set(ranges++, address + start, end - start)
        start = at + skip
        bytes -= skip
        skip = 0
      }
      end = offset + length
      bytes += end - at
    }
    if (end > start) vector.set(ranges++, address + start, end - start)
    this.#ranges = ranges
    this.#bytes = bytes
    return i - first
  }

  /** How many frames from `first` on are complete after so many bytes; remembers what was sent of the next. */
  #complete(lengths: Int32Array, first: number, bytes: number): number {
    let left = bytes + this.#sent
    let complete = 0
    for (; left >= lengths[first + complete] + this.#prefix; complete++)
      left -= lengths[first + complete] + this.#prefix
    this.#sent = left
    return complete
  }

  #setPrefix(view: DataView, at: number, length: number): void {
    if (this.#prefix === 4) view.setUint32(at, length)
    else view.setUint16(at, length, true)
  }

  /** 1 when nothing is owed any more, 0 when some is, or a negated error number. */
  #sendOwed(fd: number): number {
    const owed = this.#owed as NativeMemory
    this.#vector.set(0, owed.address + this.#owedFrom, this.#owedTo - this.#owedFrom)
    const bytes = this.#vector.send(fd, 1)
    if (bytes < 0) return bytes
    this.#owedFrom += bytes
    if (this.#owedFrom < this.#owedTo) return 0
    this.#owed = null
    return 1
  }
}
