/**
 * The descriptors that peers make this process open: a connection, a socket of a peer's own, a socket that takes a path
 * over.
 *
 * The process has RLIMIT_NOFILE descriptors. A part is kept for the switch itself: API, log, configuration, captures,
 * transports that are added later. What is left is for peers, and a transport takes one more only while it holds at
 * most HELD_PER_FREE times what would be free then. So one transport whose guests reconnect as fast as they can gets
 * three quarters of what is left, a second one three quarters of the rest, and there is always something for the next;
 * and no guest can take what the API needs.
 *
 * The two threads share one table: two cells in each endpoint's row of the shared counters, of which each thread writes
 * one. A decision reads all of them and locks nothing. Two threads that decide at the same moment may exceed the bound
 * by what they take at that moment, a few descriptors of the part that is kept.
 */
import {
  ENDPOINT_DESCRIPTORS_CONTROL,
  ENDPOINT_DESCRIPTORS_DATA,
  type SharedCounters,
  SwitchField,
} from './shared-memory.js'

/**
 * Most descriptors that are kept for the switch itself: 256 API connections, 16 captures of 3, sockets, files, threads;
 * rounded up.
 */
const KEPT = 512
const HELD_PER_FREE = 3

/** Descriptors for peers, of so many that the process may have; half of a small limit stays with the switch. */
export function peerDescriptors(limit: number): number {
  return Number.isFinite(limit) ? limit - keptDescriptors(limit) : Number.MAX_SAFE_INTEGER
}

/** Descriptors that are kept for the switch itself, of so many. */
export function keptDescriptors(limit: number): number {
  return Math.min(KEPT, Math.ceil(limit / 2))
}

/** The limit with which no peer is refused for want of descriptors, where transports may hold so many each. */
export function descriptorsFor(shares: readonly number[]): number {
  const all = shares.reduce((sum, share) => sum + share, 0)
  return KEPT + all + Math.ceil(Math.max(0, ...shares) / HELD_PER_FREE)
}

/** What one thread opens for the peers of one endpoint. Made anew with the endpoint, and then holds nothing. */
export class DescriptorShare {
  readonly #counters: SharedCounters
  readonly #row: number
  readonly #cell: number

  constructor(counters: SharedCounters, endpointIndex: number, thread: 'data' | 'control') {
    this.#counters = counters
    this.#row = counters.endpointRow(endpointIndex)
    this.#cell = this.#row + (thread === 'data' ? ENDPOINT_DESCRIPTORS_DATA : ENDPOINT_DESCRIPTORS_CONTROL)
    counters.cells[this.#cell] = 0
  }

  /** Before `count` descriptors are opened for a peer. False: there are none for this transport; nothing is counted. */
  take(count = 1): boolean {
    const { cells } = this.#counters
    const limit = cells[SwitchField.peerDescriptors]
    if (limit > 0) {
      const free = limit - this.#counters.peerDescriptorsHeld() - count
      const held =
        cells[this.#row + ENDPOINT_DESCRIPTORS_DATA] + cells[this.#row + ENDPOINT_DESCRIPTORS_CONTROL] + count
      if (free < 0 || held > HELD_PER_FREE * free) return false
    }
    cells[this.#cell] += count
    return true
  }

  /** Counts descriptors that are open already, or that are opened whatever the budget says. */
  hold(count = 1): void {
    this.#counters.cells[this.#cell] += count
  }

  /** They are closed. */
  give(count = 1): void {
    this.#counters.cells[this.#cell] -= count
  }
}
