/**
 * Endpoints that failed, as the main thread keeps them: why, how often, and when each is tried again.
 *
 * A failed endpoint is made anew at once, then with waits that double from FIRST_MS to LONGEST_MS, for ever: the cause
 * may pass (a place for a port becomes free, a peer that provokes the fault goes away). A series of failures is over
 * when the endpoint has served for STABLE_MS; only then is it reported as recovered, so that one that fails every
 * second is reported once.
 */
const FIRST_MS = 250
const LONGEST_MS = 30_000
const STABLE_MS = 10_000

export interface EndpointFailure {
  /** One clause. */
  readonly reason: string
  /** False when the endpoint serves again, and has not served long enough yet. */
  readonly failed: boolean
  /** Milliseconds until it is tried again; 0 when it serves, or is being tried. */
  readonly retryMs: number
}

interface Series {
  reason: string
  failed: boolean
  failures: number
  retryMs: number
  timer: NodeJS.Timeout | undefined
}

export interface EndpointFailuresParts {
  /** Makes the endpoint anew; it reports what comes of it. */
  readonly retry: (name: string) => void
  /** The first failure of a series, or one for another reason than the failure before. */
  readonly failed: (name: string, reason: string, retryMs: number) => void
  readonly recovered: (name: string) => void
}

export class EndpointFailures {
  readonly #parts: EndpointFailuresParts
  readonly #series = new Map<string, Series>()
  readonly #counts = new Map<string, number>()
  #stopped = false

  constructor(parts: EndpointFailuresParts) {
    this.#parts = parts
  }

  /** Undefined for an endpoint that is well. */
  get(name: string): EndpointFailure | undefined {
    const series = this.#series.get(name)
    return series && { reason: series.reason, failed: series.failed, retryMs: series.retryMs }
  }

  /** How often the endpoint failed since it was attached. */
  count(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  add(name: string, reason: string): void {
    if (this.#stopped) return
    const before = this.#series.get(name)
    clearTimeout(before?.timer)
    const failures = before?.failures ?? 0
    const retryMs = failures === 0 ? 0 : Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10))
    const series: Series = { reason, failed: true, failures: failures + 1, retryMs, timer: undefined }
    this.#series.set(name, series)
    this.#counts.set(name, this.count(name) + 1)
    series.timer = setTimeout(() => {
      series.retryMs = 0
      this.#parts.retry(name)
    }, retryMs)
    if (before?.reason !== reason) this.#parts.failed(name, reason, retryMs)
  }

  /** The endpoint serves. */
  opened(name: string): void {
    const series = this.#series.get(name)
    if (series === undefined) return
    clearTimeout(series.timer)
    series.failed = false
    series.retryMs = 0
    series.timer = setTimeout(() => {
      this.#series.delete(name)
      this.#parts.recovered(name)
    }, STABLE_MS).unref()
  }

  /** The endpoint is there no more. */
  forget(name: string): void {
    clearTimeout(this.#series.get(name)?.timer)
    this.#series.delete(name)
    this.#counts.delete(name)
  }

  /** No endpoint is tried again, nor one that fails from now on: a wait would keep the process from its end. */
  stop(): void {
    this.#stopped = true
    for (const { timer } of this.#series.values()) clearTimeout(timer)
  }
}
