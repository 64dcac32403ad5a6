/**
 * Exceptions on the main thread that are no transport's and that no code expected: the last line.
 *
 * The process goes on. Its VMs depend on it: the thread that forwards their frames has its own memory and loop, does
 * not see the exception, and would end with the process, and every socket with it. What the main thread was doing is
 * lost, which is one event of one socket, timer or promise; its state may be wrong from then on, which the operator is
 * told, with the way out, which is a restart at a time of the operator's choice. Only where exceptions come so often
 * that the main thread does nothing else, the process ends with exit code 1 and says why: then its supervisor makes a
 * better one.
 */
import type { Logger } from '../log.js'
import type { FindingSubject, Findings } from './findings.js'

/**
 * So many within WINDOW_MS, and the process ends. Arbitrary: far above what single events bring, reached within seconds
 * by a loop.
 */
const TOO_MANY = 1000
const WINDOW_MS = 10_000
/** Lines with a stack within the window; what comes beyond is counted. */
const MAX_LINES = 5

export interface InternalFaultsParts {
  readonly log: Logger
  readonly findings: Pick<Findings, 'raise'>
  readonly subject: () => FindingSubject
  /** Ends the process. */
  readonly exit: () => void
  /** Milliseconds that only grow. */
  readonly now: () => number
}

export class InternalFaults {
  readonly #parts: InternalFaultsParts
  #windowFrom = Number.NEGATIVE_INFINITY
  #inWindow = 0
  #count = 0

  constructor(parts: InternalFaultsParts) {
    this.#parts = parts
  }

  add(error: unknown): void {
    const { log, findings, subject, exit, now } = this.#parts
    this.#count++
    if (now() - this.#windowFrom > WINDOW_MS) {
      this.#windowFrom = now()
      this.#inWindow = 0
    }
    this.#inWindow++
    const reason = error instanceof Error ? error.message : String(error)
    const err = error instanceof Error ? (error.stack ?? reason) : reason
    if (this.#inWindow >= TOO_MANY) {
      log.error({ err, count: this.#count }, 'tapswitch ends: internal faults follow each other without end')
      exit()
      return
    }
    if (this.#inWindow <= MAX_LINES) log.error({ err, count: this.#count }, 'an internal fault; tapswitch goes on')
    findings.raise({
      code: 'internal-fault',
      subject: subject(),
      message: `tapswitch met a fault of its own and goes on, but something may be wrong from now on: ${reason}; report it with the stack from the log, and restart the switch when its VMs can do without it`,
    })
  }
}
