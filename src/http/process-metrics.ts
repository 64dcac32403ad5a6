/**
 * prom-client's metrics of the process and of Node, at most one second old.
 *
 * They are the process's, so there is one set however often the server is started. Taking them means reading /proc,
 * asking V8 for its heap and formatting a hundred lines, 0.2 ms in all, so a scraper in a hurry is given the same text
 * again.
 *
 * Left out are the distributions of the event loop's delay: they come from a timer that fires every 10 ms, which costs
 * 0.6 % of a core and a hundred wake-ups a second on an idle machine, more than the whole of the rest. The delay at the
 * moment of a scrape, nodejs_eventloop_lag_seconds, needs no timer and stays.
 */
import { collectDefaultMetrics, Registry } from 'prom-client'

const MAX_AGE_MS = 1000

const sampled = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'].map(
  what => `nodejs_eventloop_lag_${what}_seconds`,
)
/** Milliseconds between two samples; prom-client cannot be told to take none. */
const NEVER = 2 ** 31 - 1

export class ProcessMetrics {
  static #shared: ProcessMetrics | undefined

  readonly #registry = new Registry()
  #text: Promise<string> | undefined
  #takenAt = 0

  static shared(): ProcessMetrics {
    ProcessMetrics.#shared ??= new ProcessMetrics()
    return ProcessMetrics.#shared
  }

  private constructor() {
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: NEVER })
    for (const name of sampled) this.#registry.removeSingleMetric(name)
  }

  text(): Promise<string> {
    const now = performance.now()
    if (this.#text === undefined || now - this.#takenAt >= MAX_AGE_MS) {
      this.#takenAt = now
      this.#text = this.#registry.metrics()
    }
    return this.#text
  }
}
