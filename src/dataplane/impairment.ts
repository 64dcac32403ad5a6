/**
 * A bad line, on purpose: what leaves the switch through a port is lost, delayed, doubled, overtaken or slowed down,
 * for people who test protocols.
 *
 * It stands between the decision to send a frame and the sending, so whatever transport the port has, it is told
 * nothing and its counters stay true: a frame that the line loses is a drop with the reason `impaired`, a frame it
 * holds is not sent yet, a frame it doubles is sent twice. It works in one direction, as Linux's netem does; impair
 * both ports for both.
 *
 * In this order: loss; then the bandwidth, which frames take in turn; then the delay, which does not keep others
 * waiting. Jitter varies the delay but keeps the order, and only `reorder` breaks it: such a frame waits `reorderMs`
 * longer than its successors, which pass it.
 *
 * The same seed, port name and frames give the same result. Each frame takes exactly DRAWS numbers from the generator,
 * so that a change of the delay leaves the pattern of losses as it was. The clock of the data plane has the kernel's
 * granularity: a frame leaves within a millisecond or so after it is due.
 */
import { DelayLine } from './delay-line.js'
import type { FramePool } from './frame-pool.js'
import { BATCH } from './receive-batch.js'

/** Structured-cloneable; fully resolved. */
export interface ImpairmentSettings {
  seed: number
  /** Percent, 0 to 100. */
  loss: number
  duplicate: number
  reorder: number
  /** Milliseconds that a reordered frame waits longer. */
  reorderMs: number
  delayMs: number
  /** The delay varies by at most this much in either direction. */
  jitterMs: number
  /** 0 for no limit. Ethernet header counted, FCS and gaps not. */
  bitsPerSecond: number
  /** Frames that the line holds at most. */
  holdFrames: number
}

export class Impairment {
  readonly settings: ImpairmentSettings
  /** What the last call of `release` took off the line; the caller lets go of the slots. */
  readonly offsets = new Int32Array(BATCH)
  readonly lengths = new Int32Array(BATCH)
  /** Of the last call of `take`: frames the line lost, and frames for which it had no room. */
  lost = 0
  refused = 0
  readonly #line: DelayLine
  readonly #millisecondsPerByte: number
  #random: number
  /** When the bandwidth is free for the next frame, and when the last frame in order is due. */
  #lineFreeAt = 0
  #lastDueAt = 0

  constructor(settings: ImpairmentSettings, portName: string, pool: FramePool) {
    this.settings = settings
    this.#line = new DelayLine(pool, settings.holdFrames)
    this.#millisecondsPerByte = settings.bitsPerSecond === 0 ? 0 : 8000 / settings.bitsPerSecond
    this.#random = settings.seed ^ hash(portName)
  }

  /** Frames on the line. */
  get held(): number {
    return this.#line.count
  }

  /** When the next frame leaves; Infinity when none is held. */
  get nextDueAt(): number {
    return this.#line.nextDueAt
  }

  /** Takes references to the frames that it holds. `now` in milliseconds. */
  take(offsets: Int32Array, lengths: Int32Array, first: number, count: number, now: number): void {
    const { loss, duplicate, reorder, reorderMs, delayMs, jitterMs } = this.settings
    this.lost = 0
    this.refused = 0
    for (let i = first; i < first + count; i++) {
      const isLost = this.#percent() < loss
      const isDoubled = this.#percent() < duplicate
      const isLate = this.#percent() < reorder
      const jitter = (this.#percent() / 50 - 1) * jitterMs
      if (isLost) {
        this.lost++
        continue
      }
      this.#lineFreeAt = Math.max(this.#lineFreeAt, now) + lengths[i] * this.#millisecondsPerByte
      let dueAt = this.#lineFreeAt + Math.max(0, delayMs + jitter)
      if (isLate) {
        dueAt += reorderMs
      } else {
        dueAt = Math.max(dueAt, this.#lastDueAt)
        this.#lastDueAt = dueAt
      }
      const taken = this.#line.push(dueAt, offsets[i], lengths[i])
      // What was not accepted does not use the bandwidth either.
      if (!taken) this.#lineFreeAt -= lengths[i] * this.#millisecondsPerByte
      const doubled = taken && isDoubled && this.#line.push(dueAt, offsets[i], lengths[i])
      if (!taken || (isDoubled && !doubled)) this.refused++
    }
  }

  /** Takes up to BATCH frames that are due off the line, into `offsets` and `lengths`. */
  release(now: number): number {
    let count = 0
    for (; count < BATCH && this.#line.count > 0 && this.#line.nextDueAt <= now; count++) {
      this.offsets[count] = this.#line.nextOffset
      this.lengths[count] = this.#line.nextLength
      this.#line.pop()
    }
    return count
  }

  /** Lets go of all that it holds. Returns how many frames that were. */
  discard(): number {
    return this.#line.clear()
  }

  /** From 0 up to, not including, 100. mulberry32. */
  #percent(): number {
    this.#random = (this.#random + 0x6d2b79f5) | 0
    let t = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * 100
  }
}

/** FNV-1a, so that the ports of one transport do not lose the same frames. */
function hash(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}
