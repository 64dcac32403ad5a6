/**
 * Events that traffic causes, on their way to the main thread. A guest that invents a thousand addresses a second must
 * not flood it, so each kind of event has a token bucket; what is left out is counted.
 */
import { SwitchField } from './shared-memory.js'

const KINDS = ['mac-learned', 'mac-moved', 'mac-flapping', 'limit-reached', 'frame'] as const
export type TrafficEvent = (typeof KINDS)[number]

/** Events of one kind in a burst, and refilled each second. Enough for every VM of a rack that boots at once. */
const BURST = 256
const PER_SECOND = 64

export class EventReporter {
  readonly #tokens = new Float64Array(KINDS.length).fill(BURST)
  readonly #cells: Float64Array
  #refilledAt = 0

  constructor(cells: Float64Array) {
    this.#cells = cells
  }

  /** True when the event may be sent; otherwise it is counted as suppressed. */
  admit(kind: TrafficEvent): boolean {
    const i = KINDS.indexOf(kind)
    if (this.#tokens[i] < 1) {
      this.#cells[SwitchField.eventsSuppressed]++
      return false
    }
    this.#tokens[i]--
    return true
  }

  /** `now` in milliseconds. */
  refill(now: number): void {
    const earned = ((now - this.#refilledAt) / 1000) * PER_SECOND
    this.#refilledAt = now
    for (let i = 0; i < KINDS.length; i++) this.#tokens[i] = Math.min(BURST, this.#tokens[i] + earned)
  }
}
