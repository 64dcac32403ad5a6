/**
 * When to try again: exponential back-off with full jitter, for ever. Full jitter, so that peers which lost the same
 * server do not come back to it at the same moment (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture
 * Blog, 2015).
 */
const FIRST_MS = 100
const LONGEST_MS = 30_000

export class Backoff {
  #failures = 0
  readonly #random: () => number

  /** `random`: from 0 up to 1. */
  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.#failures++, 20))
    return ceiling * this.#random()
  }

  /** An attempt succeeded. */
  reset(): void {
    this.#failures = 0
  }
}
