/**
 * Findings: what is wrong with the running switch now, once for each cause.
 *
 * An event says that something happened; a finding says that something is the case. It begins with `raise` and ends
 * with `clear`, with its subject, or, where its code says so, after a time in which it was not raised again. The first
 * `raise` of a (code, subject) writes one log line and emits one event; further ones only count. Views, metric, command
 * line and page show what `list` returns.
 *
 * Guests cause many of these conditions, so everything is bounded: findings in all, findings about the ports of one
 * transport with one code, and log lines and events (a token bucket for each code and transport: a guest that
 * reconnects in a loop begins and ends the same condition over and over). What exceeds a bound is counted in
 * `notListed`, or as `suppressed` in the next log line.
 *
 * A port is named as its endpoint named it, because an operator may rename it meanwhile; `portName` finds today's name.
 */
import {
  type FindingCode,
  type FindingDetail,
  findingCodeNames,
  findingCodes,
  type Severity,
} from '../finding-codes.js'
import type { Logger } from '../log.js'
import type { OwnFindings } from '../transports/transport.js'
import type { EventBus } from './event-bus.js'
import type { FindingView } from './view.js'

export type FindingSubject =
  | { readonly kind: 'switch' | 'transport' | 'interface'; readonly name: string }
  /** `name`: as the endpoint named it. `transport`: of the transport or interface it belongs to. */
  | { readonly kind: 'port'; readonly name: string; readonly transport: string }

export interface NewFinding {
  readonly code: FindingCode
  readonly subject: FindingSubject
  /** One sentence: what is wrong, and the way out. */
  readonly message: string
  readonly detail?: FindingDetail | undefined
  /** How often it happened since it was last raised. */
  readonly times?: number
}

interface Kept extends NewFinding {
  count: number
  /** Milliseconds since 1970. */
  readonly since: number
  lastSeen: number
  message: string
  detail: FindingDetail | undefined
  /** Its beginning was published, so its end has to be. */
  published: boolean
}

interface Bucket {
  tokens: number
  at: number
  suppressed: number
}

const MAX_FINDINGS = 1024
/** About the ports of one transport, with one code: enough to see a pattern. */
const MAX_OF_PORTS = 16
/**
 * Beginnings that are published for one code and transport: so many at once, then one in so many milliseconds.
 * Arbitrary.
 */
const BURST = 10
const REFILL_MS = 10_000

interface FindingsParts {
  readonly log: Logger
  readonly bus: EventBus
  /** Today's name of the port that its endpoint named so. */
  readonly portName: (givenName: string) => string
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

export class Findings {
  readonly #parts: FindingsParts
  readonly #now: () => number
  readonly #kept = new Map<string, Kept>()
  readonly #buckets = new Map<string, Bucket>()
  #notListed = 0

  constructor(parts: FindingsParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  raise(finding: NewFinding): void {
    const { code, subject, message, detail, times = 1 } = finding
    const key = keyOf(code, subject)
    const now = this.#now()
    const kept = this.#kept.get(key)
    if (kept !== undefined) {
      kept.count += times
      kept.lastSeen = now
      kept.message = message
      kept.detail = detail
      return
    }
    if (!this.#hasPlace(code, subject)) {
      this.#notListed += times
      return
    }
    const published = this.#admit(code, subject, now)
    const fresh: Kept = { ...finding, detail, count: times, since: now, lastSeen: now, published }
    this.#kept.set(key, fresh)
    if (published) this.#publishRaised(fresh)
  }

  clear(code: FindingCode, subject: FindingSubject): void {
    const key = keyOf(code, subject)
    const kept = this.#kept.get(key)
    if (kept === undefined) return
    this.#kept.delete(key)
    if (kept.published) this.#publishCleared(kept)
  }

  /** The subject is gone, and with it what was wrong with it; of a transport or interface, its ports too. */
  forget(subject: FindingSubject): void {
    for (const { code, subject: own } of this.#kept.values()) {
      const isOwn = own.kind === subject.kind && own.name === subject.name
      const isPortOf = own.kind === 'port' && subject.kind !== 'port' && own.transport === subject.name
      if (isOwn || isPortOf) this.clear(code, own)
    }
    if (subject.kind === 'port') return
    for (const code of findingCodeNames) this.#buckets.delete(`${code} ${subject.name}`)
  }

  /** Ends what was quiet for long enough; to be called about once a second. */
  expire(): void {
    const now = this.#now()
    for (const { code, subject, lastSeen } of this.#kept.values()) {
      const { quietSeconds } = findingCodes[code]
      if (quietSeconds !== undefined && now - lastSeen >= quietSeconds * 1000) this.clear(code, subject)
    }
  }

  /** Errors first, then the oldest first. */
  list(): FindingView[] {
    const views = [...this.#kept.values()].map(kept => this.#view(kept))
    return views.sort((a, b) => rank(a.severity) - rank(b.severity) || (a.since < b.since ? -1 : 1))
  }

  /** Findings that exceeded a bound since the start. */
  get notListed(): number {
    return this.#notListed
  }

  /** Of one transport or interface, as it sees them itself. */
  of(subject: FindingSubject): OwnFindings {
    return {
      raise: finding => this.raise({ ...finding, subject }),
      clear: code => this.clear(code, subject),
    }
  }

  #hasPlace(code: FindingCode, subject: FindingSubject): boolean {
    if (this.#kept.size >= MAX_FINDINGS) return false
    if (subject.kind !== 'port') return true
    let same = 0
    for (const { code: other, subject: own } of this.#kept.values()) {
      if (other === code && own.kind === 'port' && own.transport === subject.transport) same++
    }
    return same < MAX_OF_PORTS
  }

  #admit(code: FindingCode, subject: FindingSubject, now: number): boolean {
    const key = `${code} ${scopeOf(subject)}`
    const bucket = this.#buckets.get(key) ?? { tokens: BURST, at: now, suppressed: 0 }
    this.#buckets.set(key, bucket)
    bucket.tokens = Math.min(BURST, bucket.tokens + (now - bucket.at) / REFILL_MS)
    bucket.at = now
    if (bucket.tokens < 1) {
      bucket.suppressed++
      return false
    }
    bucket.tokens--
    return true
  }

  #publishRaised(kept: Kept): void {
    const { code, subject, severity, message, detail } = this.#view(kept)
    const bucket = this.#buckets.get(`${code} ${scopeOf(kept.subject)}`)
    const suppressed = bucket?.suppressed ?? 0
    if (bucket !== undefined) bucket.suppressed = 0
    const fields = { finding: code, [subject.kind]: subject.name, ...detail, ...(suppressed > 0 && { suppressed }) }
    this.#parts.log[severity === 'error' ? 'error' : 'warn'](fields, message)
    this.#parts.bus.emit({ type: 'finding-raised', code, severity, subject, message, detail })
  }

  #publishCleared(kept: Kept): void {
    const { code, subject, count } = this.#view(kept)
    this.#parts.log.info({ finding: code, [subject.kind]: subject.name, count }, `no longer the case: ${kept.message}`)
    this.#parts.bus.emit({ type: 'finding-cleared', code, subject })
  }

  #view({ code, subject, message, detail, count, since, lastSeen }: Kept): FindingView {
    const name = subject.kind === 'port' ? this.#parts.portName(subject.name) : subject.name
    return {
      code,
      severity: findingCodes[code].severity,
      subject: { kind: subject.kind, name },
      message,
      detail: detail ?? {},
      count,
      since: new Date(since).toISOString(),
      lastSeen: new Date(lastSeen).toISOString(),
    }
  }
}

/** There is one switch, whatever it is called today. */
function keyOf(code: FindingCode, { kind, name }: FindingSubject): string {
  return kind === 'switch' ? `${code} ${kind}` : `${code} ${kind} ${name}`
}

function scopeOf(subject: FindingSubject): string {
  return subject.kind === 'port' ? subject.transport : subject.name
}

function rank(severity: Severity): number {
  return severity === 'error' ? 0 : 1
}
