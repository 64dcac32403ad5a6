/** Frames out of a stream that arrives in pieces, on Node's side: 4-byte lengths, as `framing.ts` says. */
import { MAX_LENGTH } from './framing.js'

const PREFIX = 4
const nothing = new Uint8Array(0)

export class FrameSplitter {
  readonly #onFrame: (frame: Uint8Array) => void
  /** The beginning of a frame, its prefix included; its memory is as long as the frame will be, once that is known. */
  #partial: Uint8Array = nothing
  #filled = 0

  /** `onFrame` may keep the frame: nobody else writes to it. */
  constructor(onFrame: (frame: Uint8Array) => void) {
    this.#onFrame = onFrame
  }

  /** Takes the next piece. Throws RangeError when something cannot be the length of a frame. */
  push(piece: Uint8Array): void {
    let at = this.#filled > 0 ? this.#complete(piece) : 0
    while (piece.length - at >= PREFIX) {
      const length = lengthAt(piece, at)
      if (at + PREFIX + length > piece.length) break
      this.#onFrame(piece.subarray(at + PREFIX, at + PREFIX + length))
      at += PREFIX + length
    }
    if (at < piece.length) this.#keep(piece.subarray(at))
  }

  /** Adds to the partial frame; hands it over when it is whole. Returns how many bytes it took. */
  #complete(piece: Uint8Array): number {
    let at = this.#fill(piece, 0, PREFIX)
    if (this.#filled < PREFIX) return at
    const size = PREFIX + lengthAt(this.#partial, 0)
    at += this.#fill(piece, at, size)
    if (this.#filled < size) return at
    this.#filled = 0
    const frame = this.#partial.subarray(PREFIX, size)
    this.#partial = nothing
    this.#onFrame(frame)
    return at
  }

  #fill(piece: Uint8Array, from: number, until: number): number {
    const count = Math.min(Math.max(0, until - this.#filled), piece.length - from)
    if (this.#partial.length < until) {
      const larger = new Uint8Array(until)
      larger.set(this.#partial.subarray(0, this.#filled))
      this.#partial = larger
    }
    this.#partial.set(piece.subarray(from, from + count), this.#filled)
    this.#filled += count
    return count
  }

  #keep(rest: Uint8Array): void {
    const size = rest.length >= PREFIX ? PREFIX + lengthAt(rest, 0) : PREFIX
    this.#partial = new Uint8Array(size)
    this.#partial.set(rest)
    this.#filled = rest.length
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  const length = ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
  if (length === 0 || length > MAX_LENGTH) throw new RangeError(`${length} cannot be the length of a frame`)
  return length
}
