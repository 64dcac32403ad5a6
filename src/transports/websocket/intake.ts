/**
 * Reading by turns: a source that has more than one piece for us is left alone until the next turn of the event loop,
 * and one that is held is left alone until it is released.
 *
 * Without it Node takes up to 2 MiB from one readable socket before it looks at another, 30,000 short frames and 200 ms
 * of this thread, while what others are to get waits in their queues and is dropped there.
 */

/**
 * What is taken in a turn, in units of about the work that a short frame or a KiB of a long one is: a millisecond or
 * two.
 */
const PIECE = 512
const UNIT_BYTES = 1024

export interface Source {
  pause(): void
  resume(): void
}

export class Intake {
  readonly #source: Source
  #taken = 0
  #resting = false
  #held = false

  constructor(source: Source) {
    this.#source = source
  }

  /** A frame came. */
  took(bytes: number): void {
    this.#taken += 1 + bytes / UNIT_BYTES
    if (this.#taken < PIECE || this.#resting) return
    this.#resting = true
    this.#source.pause()
    setImmediate(() => {
      this.#resting = false
      this.#taken = 0
      if (!this.#held) this.#source.resume()
    })
  }

  /** What is read has nowhere to go. */
  hold(): void {
    this.#held = true
    this.#source.pause()
  }

  release(): void {
    if (!this.#held) return
    this.#held = false
    if (!this.#resting) this.#source.resume()
  }
}
