/**
 * Ports that come and go. A guest that connects and goes in a loop would fill the log and push everything else out of
 * the ring of events, so lines and events about ports have a token bucket for each transport. What is left out is
 * counted: readers of the events are told at once, and then once a second while it goes on, so that they ask for the
 * state again; the log says how many it were every ten seconds.
 */
import type { Logger } from '../log.js'
import type { EventBus } from './event-bus.js'

/** A boot of a hundred VMs at once, with what each makes of events. */
const BURST = 512
const PER_SECOND = 32
/** Milliseconds between two messages to readers of events, and between two lines of the log. */
const TELL_MS = 1000
const LINE_MS = 10_000

interface Bucket {
  tokens: number
  at: number
  /** Left out since readers were last told, and since the last line. */
  untold: number
  unlogged: number
  lineAt: number
}

export interface PortChurnParts {
  readonly log: Logger
  readonly bus: EventBus
  /** Milliseconds on any clock. */
  readonly now?: () => number
}

export class PortChurn {
  readonly #parts: PortChurnParts
  readonly #now: () => number
  /** By transport or interface; those whose bucket is full again are forgotten. */
  readonly #buckets = new Map<string, Bucket>()
  readonly #timer: NodeJS.Timeout
  #suppressed = 0

  constructor(parts: PortChurnParts) {
    this.#parts = parts
    this.#now = parts.now ?? (() => performance.now())
    this.#timer = setInterval(() => this.tell(), TELL_MS)
    this.#timer.unref()
  }

  /** Events left out since the start. */
  get suppressed(): number {
    return this.#suppressed
  }

  /** Whether an event about a port of this transport may be published. */
  admit(transport: string): boolean {
    const now = this.#now()
    const bucket = this.#buckets.get(transport) ?? { tokens: BURST, at: now, untold: 0, unlogged: 0, lineAt: now }
    this.#buckets.set(transport, bucket)
    refill(bucket, now)
    if (bucket.tokens >= 1) {
      bucket.tokens--
      return true
    }
    this.#suppressed++
    bucket.untold++
    if (++bucket.unlogged > 1) return false
    bucket.lineAt = now
    this.#tellReaders(transport, bucket)
    return false
  }

  /** Once a second. */
  tell(): void {
    const now = this.#now()
    for (const [transport, bucket] of this.#buckets) {
      if (bucket.untold > 0) this.#tellReaders(transport, bucket)
      if (bucket.unlogged > 0 && now - bucket.lineAt >= LINE_MS) this.#writeLine(transport, bucket, now)
      refill(bucket, now)
      if (bucket.tokens === BURST && bucket.unlogged === 0) this.#buckets.delete(transport)
    }
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #tellReaders(transport: string, bucket: Bucket): void {
    this.#parts.bus.emit({ type: 'events-suppressed', transport, count: bucket.untold })
    bucket.untold = 0
  }

  #writeLine(transport: string, bucket: Bucket, now: number): void {
    const seconds = Math.round((now - bucket.lineAt) / 1000)
    const message = `${bucket.unlogged} more events of ports that came and went in ${seconds} s`
    this.#parts.log.warn({ transport, suppressed: bucket.unlogged }, message)
    bucket.unlogged = 0
    bucket.lineAt = now
  }
}

function refill(bucket: Bucket, now: number): void {
  bucket.tokens = Math.min(BURST, bucket.tokens + ((now - bucket.at) / 1000) * PER_SECOND)
  bucket.at = now
}
