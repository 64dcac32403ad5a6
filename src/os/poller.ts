/**
 * Which descriptors are ready: epoll(7) on Linux, poll(2) elsewhere, behind one interface. Both are level-triggered, so
 * a descriptor that was not drained is simply reported again.
 */

/** What to wait for, and what happened. */
export const READABLE = 1
export const WRITABLE = 2

export interface Poller {
  /** Watches a descriptor for `interest`; 0 ends it. `token` (0 or more) comes back with each report. */
  watch(fd: number, token: number, interest: number): void
  /** Waits at most this long (milliseconds; 0 = not at all) and returns how many `tokens` and `events` are valid. */
  wait(timeoutMs: number): number
  readonly tokens: Int32Array
  /**
   * READABLE | WRITABLE; errors and hang-ups are reported as both that were asked for, so that the next call finds
   * them.
   */
  readonly events: Int32Array
  /** Descriptors of the poller itself, to be closed by another thread if this one dies. */
  readonly descriptors: readonly number[]
  close(): void
}

/** Descriptors reported by one wait; the rest comes with the next. */
export const MAX_READY = 128
