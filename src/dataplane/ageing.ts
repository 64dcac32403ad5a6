/**
 * How much of the filtering database is swept for expired entries at a time. The whole table is seen once in SWEEP_MS
 * or a little more, so an entry outlives its time by seconds at most, and no sweep looks at more than PIECE slots,
 * because frames wait meanwhile: 2^21 slots (a million addresses) in ten pieces took 3 to 5 ms each.
 */
const SWEEP_MS = 10_000
/** Slots. */
const PIECE = 16_384
/** Between two pieces at least and at most, in milliseconds. */
const LEAST_MS = 10
const MOST_MS = 1000

export class Ageing {
  /** Milliseconds until the next piece is due. */
  readonly intervalMs: number
  readonly #capacity: number
  #sweptAt: number

  /** `capacity`: slots of the table. `now` in milliseconds. */
  constructor(capacity: number, now: number) {
    this.#capacity = capacity
    this.#sweptAt = now
    this.intervalMs = Math.max(LEAST_MS, Math.min(MOST_MS, Math.floor((SWEEP_MS * PIECE) / capacity)))
  }

  /** Slots to be looked at now: what the time since the last piece earned, at most a piece. */
  piece(now: number): number {
    const earned = Math.ceil((this.#capacity * (now - this.#sweptAt)) / SWEEP_MS)
    this.#sweptAt = now
    return Math.max(0, Math.min(PIECE, earned))
  }
}
