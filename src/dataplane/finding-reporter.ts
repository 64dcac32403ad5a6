/**
 * Findings on their way from the data plane to the main thread, which keeps them (control/findings.ts).
 *
 * An endpoint raises a finding whenever it meets the condition, be it for each frame: only the first one makes a
 * message, and repeats are counted and told at most once a second. Guests can make conditions come and go as fast as
 * they like, so each endpoint has a bound for distinct findings and a token bucket for messages. A change for which
 * there is no token waits, and what waits is one entry, however often it changes.
 */
import { type FindingCode, type FindingDetail, findingCodes } from '../finding-codes.js'
import type { FindingEvent, RaisedFinding } from './messages.js'

/** An endpoint's name, a port's index, or null for the switch as a whole. */
export type ReportedSubject = string | number | null

/** A text, or what makes it: called only when the finding is new. */
export type FindingText = string | (() => string)

interface Entry {
  readonly owner: string
  message: string
  detail: FindingDetail | undefined
  /** What the endpoint says, and what the main thread was told. */
  raised: boolean
  told: boolean
  /** Raised so often since the main thread was last told. */
  count: number
  toldAt: number
}

interface Owner {
  entries: number
  tokens: number
}

const MAX_ENTRIES = 32
const BURST = 32
const PER_SECOND = 8
const REPEAT_MS = 1000

export interface FindingReporterParts {
  readonly emit: (event: FindingEvent) => void
  readonly clock: () => number
  /** Name of the endpoint that a port belongs to; undefined where there is no such port. */
  readonly ownerOf: (port: number) => { readonly endpoint: string; readonly id: number } | undefined
  /** A finding exceeded a bound. */
  readonly countSuppressed: () => void
}

export class FindingReporter {
  readonly #parts: FindingReporterParts
  readonly #subjects = new Map<ReportedSubject, Map<FindingCode, Entry>>()
  readonly #owners = new Map<string, Owner>()
  #refilledAt: number

  /** `raised`: what an earlier data plane raised and did not clear. */
  constructor(parts: FindingReporterParts, raised: readonly RaisedFinding[] = []) {
    this.#parts = parts
    const now = parts.clock()
    this.#refilledAt = now
    for (const { subject, code, owner } of raised) {
      this.#insert(subject, code, {
        owner,
        message: '',
        detail: undefined,
        raised: true,
        told: true,
        count: 0,
        toldAt: now,
      })
    }
  }

  raise(subject: ReportedSubject, code: FindingCode, message: FindingText, detail?: FindingDetail): void {
    const entry = this.#subjects.get(subject)?.get(code)
    if (entry?.raised) {
      entry.count++
      return
    }
    const text = typeof message === 'string' ? message : message()
    if (entry !== undefined) {
      Object.assign(entry, { message: text, detail, raised: true, count: entry.count + 1 })
      return
    }
    const owner = this.#ownerOf(subject)
    if (owner === undefined) return
    if ((this.#owners.get(owner)?.entries ?? 0) >= MAX_ENTRIES) {
      this.#parts.countSuppressed()
      return
    }
    const fresh: Entry = { owner, message: text, detail, raised: true, told: false, count: 1, toldAt: 0 }
    this.#insert(subject, code, fresh)
    if (this.#take(owner)) this.#tell(subject, code, fresh)
  }

  clear(subject: ReportedSubject, code: FindingCode): void {
    const entry = this.#subjects.get(subject)?.get(code)
    if (entry === undefined || !entry.raised) return
    entry.raised = false
    if (!entry.told) this.#delete(subject, code)
    else if (this.#take(entry.owner)) this.#tell(subject, code, entry)
  }

  /** A port or an endpoint is gone. The main thread forgets what was wrong with it by itself. */
  forget(subject: ReportedSubject): void {
    for (const code of [...(this.#subjects.get(subject)?.keys() ?? [])]) this.#delete(subject, code)
  }

  /** Tells what waits; `now` in milliseconds. About ten times a second. */
  flush(now: number): void {
    this.#refill(now)
    for (const [subject, entries] of this.#subjects) {
      for (const [code, entry] of entries) {
        const changed = entry.raised !== entry.told
        if (changed && this.#take(entry.owner)) this.#tell(subject, code, entry)
        else if (!changed && now - entry.toldAt >= REPEAT_MS) this.#tellRepeats(subject, code, entry, now)
      }
    }
  }

  #tellRepeats(subject: ReportedSubject, code: FindingCode, entry: Entry, now: number): void {
    const { quietSeconds } = findingCodes[code]
    if (entry.count > 0) this.#tell(subject, code, entry)
    // The main thread ends it by the same rule.
    else if (quietSeconds !== undefined && now - entry.toldAt >= quietSeconds * 1000) this.#delete(subject, code)
  }

  #tell(subject: ReportedSubject, code: FindingCode, entry: Entry): void {
    const { owner, message, detail, raised, count } = entry
    const id = typeof subject === 'number' ? (this.#parts.ownerOf(subject)?.id ?? null) : null
    entry.told = raised
    entry.count = 0
    entry.toldAt = this.#parts.clock()
    this.#parts.emit({ type: 'finding', subject, id, owner, code, raised, message, detail, count })
    if (!raised) this.#delete(subject, code)
  }

  #ownerOf(subject: ReportedSubject): string | undefined {
    if (subject === null) return ''
    return typeof subject === 'string' ? subject : this.#parts.ownerOf(subject)?.endpoint
  }

  #insert(subject: ReportedSubject, code: FindingCode, entry: Entry): void {
    const entries = this.#subjects.get(subject) ?? new Map<FindingCode, Entry>()
    this.#subjects.set(subject, entries.set(code, entry))
    const owner = this.#owners.get(entry.owner) ?? { entries: 0, tokens: BURST }
    owner.entries++
    this.#owners.set(entry.owner, owner)
  }

  #delete(subject: ReportedSubject, code: FindingCode): void {
    const entries = this.#subjects.get(subject)
    const entry = entries?.get(code)
    if (entries === undefined || entry === undefined) return
    entries.delete(code)
    if (entries.size === 0) this.#subjects.delete(subject)
    const owner = this.#owners.get(entry.owner)
    if (owner !== undefined) owner.entries--
  }

  #take(name: string): boolean {
    const owner = this.#owners.get(name)
    if (owner === undefined || owner.tokens < 1) return false
    owner.tokens--
    return true
  }

  #refill(now: number): void {
    const earned = ((now - this.#refilledAt) / 1000) * PER_SECOND
    this.#refilledAt = now
    for (const [name, owner] of this.#owners) {
      owner.tokens = Math.min(BURST, owner.tokens + earned)
      if (owner.entries === 0 && owner.tokens === BURST) this.#owners.delete(name)
    }
  }
}
