/**
 * How long to wait before the data plane's thread is made anew. The first restart is immediate; a series of them slows
 * down to one in five seconds, and goes on.
 */
const DELAYS_MS = [0, 100, 500, 1000, 5000]
/** A thread that ran this long was not part of a series. */
const STABLE_MS = 10_000

export class RestartDelays {
  #deaths = 0

  /** A thread died that ran for so many milliseconds. */
  died(ranMs: number): void {
    this.#deaths = ranMs < STABLE_MS ? this.#deaths + 1 : 0
  }

  get waitMs(): number {
    return DELAYS_MS[Math.min(this.#deaths, DELAYS_MS.length - 1)]
  }
}
