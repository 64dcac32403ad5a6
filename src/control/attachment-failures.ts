/**
 * Transports and interfaces that fail, as the operator is told of it.
 *
 * On the data plane, an endpoint that throws is detached and made anew (dataplane/guard.ts, endpoint-failures.ts). Here
 * that becomes an event and a finding.
 *
 * On the main thread, a transport's callbacks (timers, sockets, messages) run on Node's event loop, where an exception
 * would end the process. Each transport is opened inside an asynchronous context that bears its name, which its timers
 * and promises inherit; callbacks that start elsewhere, such as those of accepted sockets, are wrapped with `contain`.
 * An exception that arrives in `uncaughtException` with such a name is that transport's: it is logged with its stack,
 * raises the finding `transport-fault`, and the callback is over; all else goes on. An exception without a name is the
 * process's: see internal-faults.ts.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { DataPlane } from '../dataplane/data-plane.js'
import type { Logger } from '../log.js'
import type { EventBus } from './event-bus.js'
import type { FindingSubject, Findings } from './findings.js'

export interface AttachmentFailuresParts {
  readonly log: Logger
  readonly bus: EventBus
  readonly findings: Findings
  readonly dataPlane: DataPlane
  readonly subjectOf: (name: string) => FindingSubject
  /** An exception that is no transport's. */
  readonly internal: (error: unknown) => void
}

export class AttachmentFailures {
  readonly #parts: AttachmentFailuresParts
  readonly #context = new AsyncLocalStorage<string>()
  readonly #faults = new Map<string, number>()
  readonly #onUncaught = (error: unknown) => this.#uncaught(error)

  constructor(parts: AttachmentFailuresParts) {
    this.#parts = parts
    parts.dataPlane.on('endpoint-failed', (name, reason, retryMs) => this.#failed(name, reason, retryMs))
    parts.dataPlane.on('endpoint-recovered', name => this.#recovered(name))
    process.on('uncaughtException', this.#onUncaught)
  }

  /**
   * Runs what opens, changes or closes a transport: exceptions in callbacks that it leaves behind are the transport's.
   */
  run<Result>(name: string, open: () => Result): Result {
    return this.#context.run(name, open)
  }

  /** Runs a callback of a transport; what it throws is the transport's fault, and the answer is false then. */
  contain(name: string, callback: () => void): boolean {
    try {
      this.#context.run(name, callback)
      return true
    } catch (error) {
      this.#fault(name, error)
      return false
    }
  }

  /** How often a transport failed since it was opened, on either thread. */
  count(name: string): number {
    return this.#parts.dataPlane.failures.count(name) + (this.#faults.get(name) ?? 0)
  }

  forget(name: string): void {
    this.#faults.delete(name)
  }

  close(): void {
    process.off('uncaughtException', this.#onUncaught)
  }

  #uncaught(error: unknown): void {
    const name = this.#context.getStore()
    if (name !== undefined) {
      this.#fault(name, error)
      return
    }
    this.#parts.internal(error)
  }

  #fault(name: string, error: unknown): void {
    this.#faults.set(name, (this.#faults.get(name) ?? 0) + 1)
    const { log, findings, subjectOf } = this.#parts
    const reason = error instanceof Error ? error.message : String(error)
    log.error({ name, err: error instanceof Error ? error.stack : reason }, 'a callback of a transport failed')
    findings.raise({
      code: 'transport-fault',
      subject: subjectOf(name),
      message: `${name} met a fault of tapswitch and goes on without what it was doing: ${reason}; report it, and open ${name} anew if its peers notice`,
    })
  }

  #failed(name: string, reason: string, retryMs: number): void {
    const { bus, findings, subjectOf } = this.#parts
    const subject = subjectOf(name)
    findings.raise({
      code: 'transport-failed',
      subject,
      message: `${name} failed and is tried again until it serves: ${reason}`,
    })
    bus.emit(
      subject.kind === 'interface'
        ? { type: 'interface-failed', interface: name, reason, retryMs }
        : { type: 'transport-failed', transport: name, reason, retryMs },
    )
  }

  #recovered(name: string): void {
    const { bus, findings, subjectOf } = this.#parts
    const subject = subjectOf(name)
    findings.clear('transport-failed', subject)
    bus.emit(
      subject.kind === 'interface'
        ? { type: 'interface-recovered', interface: name }
        : { type: 'transport-recovered', transport: name },
    )
  }
}
