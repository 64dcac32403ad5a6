/**
 * Commands to the data plane's thread, each answered or refused once: also when the thread dies over it, or stays
 * silent.
 */
import type { MessagePort } from 'node:worker_threads'
import { type Waker, wake } from '../os/waker.js'
import type { Command, Request } from './messages.js'

/** A command that is not answered in this time is a fault. */
const REPLY_TIMEOUT_MS = 10_000

/** The data plane could not do what it was asked, and changed nothing; the message is one clause. */
export class CommandRefused extends Error {}

/** The data plane's thread ended before it answered; what it had done by then is not known. */
export class DataPlaneEnded extends Error {}

/** Commands whose effect the next data plane has anyway, since it is made from the same state. */
const CARRIED: ReadonlySet<Command['type']> = new Set(['set-policy', 'set-limits', 'endpoint', 'capture-start'])

export function isCarried({ type }: Command): boolean {
  return CARRIED.has(type)
}

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

export class CommandChannel {
  readonly #waker: Waker
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1

  constructor(waker: Waker) {
    this.#waker = waker
  }

  /** Rejects with CommandRefused or DataPlaneEnded, or when no answer comes in time. */
  send(port: MessagePort, command: Command): Promise<void> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        reject(new Error(`the data plane did not answer '${command.type}' in ${REPLY_TIMEOUT_MS / 1000} s`))
      }, REPLY_TIMEOUT_MS)
      this.#waiting.set(id, { resolve, reject, timer })
      port.postMessage({ id, command } satisfies Request)
      wake(this.#waker.writeFd)
    })
  }

  /** An answer came. */
  settle(id: number, error: string | null): void {
    const waiting = this.#take(id)
    if (error === null) waiting?.resolve()
    else waiting?.reject(new CommandRefused(error))
  }

  /** The thread ended; no more answers will come. */
  abandon(): void {
    for (const id of [...this.#waiting.keys()]) {
      this.#take(id)?.reject(new DataPlaneEnded('the data plane ended before it answered'))
    }
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    clearTimeout(waiting?.timer)
    return waiting
  }
}
