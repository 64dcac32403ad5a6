/** libslirp's timers: a handful, hours apart (router advertisements), so a list will do. */
export interface Timer {
  /** For `slirp_handle_timer`. */
  readonly id: number
  /** C code to call instead; 0 where there is none. */
  readonly run: number
  readonly opaque: number
  /** Milliseconds; infinite while not set. */
  at: number
}

export class Timers {
  readonly #timers = new Map<number, Timer>()
  #nextHandle = 1

  add(id: number, run: number, opaque: number): number {
    const handle = this.#nextHandle++
    this.#timers.set(handle, { id, run, opaque, at: Number.POSITIVE_INFINITY })
    return handle
  }

  free(handle: number): void {
    this.#timers.delete(handle)
  }

  set(handle: number, at: number): void {
    const timer = this.#timers.get(handle)
    if (timer !== undefined) timer.at = at
  }

  /** Milliseconds until the first is due; infinite when none is set. */
  untilNext(now: number): number {
    let next = Number.POSITIVE_INFINITY
    for (const { at } of this.#timers.values()) next = Math.min(next, at)
    return Math.max(0, next - now)
  }

  /** Those that are due; they are not set any more. */
  due(now: number): Timer[] {
    const due = [...this.#timers.values()].filter(({ at }) => at <= now)
    for (const timer of due) timer.at = Number.POSITIVE_INFINITY
    return due
  }
}
