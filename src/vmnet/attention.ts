/**
 * How long the data plane goes on asking vmnet for frames after it has got the last one.
 *
 * Being told takes a dispatch queue, the main thread and a descriptor: 80 us at best, and as long as the main thread is
 * busy at worst. Where frames follow each other, asking again is cheaper and does not depend on the main thread. So
 * after each frame the endpoint *spins* (asks in every turn, without sleeping) for some microseconds, then *lingers*
 * (asks every millisecond) for some milliseconds, then sleeps until it is told. Both times double when they were worth
 * it, up to a bound, and halve when they were not: an idle interface costs next to nothing, a busy one is never asleep.
 */

/** A wait that adapts. Milliseconds. */
export class Patience {
  readonly #min: number
  readonly #max: number
  #current: number

  constructor(min: number, max: number) {
    this.#min = min
    this.#max = max
    this.#current = min
  }

  get ms(): number {
    return this.#current
  }

  paid(): void {
    this.#current = Math.min(this.#max, this.#current * 2)
  }

  wasted(): void {
    this.#current = Math.max(this.#min, this.#current / 2)
  }
}

/** What to do next after asking for frames. */
export const Next = {
  /** Ask in the next turn, without sleeping. */
  spin: 0,
  /** Ask within a millisecond. */
  linger: 1,
  /** Wait to be told. */
  sleep: 2,
} as const
export type Next = (typeof Next)[keyof typeof Next]

/** At most what being told costs, or waiting for it would have been as cheap. */
const SPIN_MS = { min: 0.01, max: 0.1 }
/** The lower end is one look more; the upper one bridges pauses of an interactive session. Arbitrary. */
const LINGER_MS = { min: 1, max: 64 }

export class Attention {
  readonly #spin = new Patience(SPIN_MS.min, SPIN_MS.max)
  readonly #linger = new Patience(LINGER_MS.min, LINGER_MS.max)
  #spinUntil = 0
  #lingerUntil = 0
  #state: Next = Next.sleep

  /** There were frames. */
  found(now: number): void {
    if (this.#state === Next.spin) this.#spin.paid()
    else if (this.#state === Next.linger) this.#linger.paid()
    this.#state = Next.spin
    this.#spinUntil = now + this.#spin.ms
    this.#lingerUntil = now + this.#linger.ms
  }

  /** There were none. */
  nothing(now: number): Next {
    if (this.#state === Next.spin && now >= this.#spinUntil) {
      this.#spin.wasted()
      this.#state = Next.linger
    }
    if (this.#state === Next.linger && now >= this.#lingerUntil) {
      this.#linger.wasted()
      this.#state = Next.sleep
    }
    return this.#state
  }
}
