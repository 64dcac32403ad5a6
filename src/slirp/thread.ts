/**
 * The slirp thread as the main thread sees it: started, told things, stopped, and started again when it dies. What it left behind is
 * taken down first, so that the next one can listen where it did. Connections of guests do not survive; a thread that keeps
 * dying is started again ever more slowly, never given up.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { SlirpConfig } from '../config/interfaces/slirp.js'
import { type Waker, wake } from '../os/waker.js'
import { bury } from './bury.js'
import type { SlirpCommand, SlirpReply, SlirpRequest, SlirpResult, SlirpWorkerData } from './messages.js'
import { SharedState } from './shared-state.js'

/** Waits between restarts, in milliseconds, when they follow each other; the last one from then on. */
const RESTART_DELAYS_MS = [0, 100, 500, 1000, 5000]
/** A thread that ran this long was not part of a series. */
const STABLE_MS = 10_000
/** A turn takes at most a second and what libslirp needs. */
const REPLY_TIMEOUT_MS = 10_000

export interface SlirpThreadParts {
  readonly config: SlirpConfig
  readonly waker: Waker
  /** A new socketpair to the data plane; returns the stack's end. */
  readonly freshLink: () => number
  readonly died: (why: string) => void
  /** It runs again, without forwards. */
  readonly restarted: (restarts: number) => void
}

export class SlirpThread {
  readonly shared = new SharedState()
  restarts = 0
  readonly #parts: SlirpThreadParts
  readonly #waiting = new Map<number, { resolve: (result: SlirpResult) => void; reject: (error: Error) => void }>()
  readonly #stopped = new AbortController()
  #worker: Worker | null = null
  #port: MessagePort | null = null
  #exited: Promise<void> = Promise.resolve()
  #restarting: Promise<void> = Promise.resolve()
  #nextRequest = 1
  #startedAt = 0
  #deaths = 0

  constructor(parts: SlirpThreadParts) {
    this.#parts = parts
  }

  get isRunning(): boolean {
    return this.#worker !== null
  }

  /** Resolves when the loop runs; rejects with what the thread ended with. */
  start(): Promise<void> {
    return this.#spawn()
  }

  /** Rejects while the thread is being restarted, and when it does not answer. */
  command(command: SlirpCommand): Promise<SlirpResult> {
    const port = this.#port
    if (this.#worker === null || port === null) return Promise.reject(new Error('slirp is being restarted'))
    const id = this.#nextRequest++
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#settle(id)?.reject(new Error(`slirp did not answer '${command.type}' in ${REPLY_TIMEOUT_MS / 1000} s`))
      }, REPLY_TIMEOUT_MS)
      this.#waiting.set(id, {
        resolve: result => {
          clearTimeout(timer)
          resolve(result)
        },
        reject: error => {
          clearTimeout(timer)
          reject(error)
        },
      })
      port.postMessage({ id, command } satisfies SlirpRequest)
      wake(this.#parts.waker.writeFd)
    })
  }

  /** Resolves when nothing of it is left. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#restarting
    const worker = this.#worker
    if (worker !== null) await this.command({ type: 'stop' }).catch(() => worker.terminate())
    await this.#exited
    bury(this.shared)
  }

  async #spawn(): Promise<void> {
    const { port1, port2 } = new MessageChannel()
    const data: SlirpWorkerData = {
      config: this.#parts.config,
      shared: this.shared.buffer,
      linkFd: this.#parts.freshLink(),
      wakeFd: this.#parts.waker.readFd,
      port: port2,
    }
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: data,
      transferList: [port2],
      name: 'slirp',
    })
    let failure: Error | null = null
    worker.on('error', error => {
      failure = error
    })
    this.#startedAt = Date.now()
    this.#port = port1
    this.#exited = new Promise(resolve => worker.once('exit', () => resolve()))
    await new Promise<void>((resolve, reject) => {
      port1.on('message', (reply: SlirpReply) => {
        if (reply.type === 'reply') return this.#settle(reply.id)?.resolve(reply.result)
        this.#worker = worker
        resolve()
      })
      worker.once('exit', () => {
        reject(failure ?? new Error('slirp ended while starting'))
        this.#ended(port1, failure)
      })
    })
  }

  #ended(port: MessagePort, failure: Error | null): void {
    const wasRunning = this.#worker !== null
    this.#worker = null
    this.#port = null
    port.close()
    for (const id of [...this.#waiting.keys()]) this.#settle(id)?.reject(new Error('slirp is being restarted'))
    if (!wasRunning || this.#stopped.signal.aborted) return
    this.#deaths = Date.now() - this.#startedAt < STABLE_MS ? this.#deaths + 1 : 0
    this.#parts.died(failure === null ? 'ended from outside' : String(failure.stack ?? failure))
    this.#restarting = this.#restart()
  }

  /** Ends when it runs, or when it is not wanted any more. */
  async #restart(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      await delay(RESTART_DELAYS_MS[Math.min(this.#deaths, RESTART_DELAYS_MS.length - 1)], undefined, { signal }).catch(
        () => {},
      )
      if (signal.aborted) return
      try {
        bury(this.shared)
        await this.#spawn()
        this.restarts++
        this.#parts.restarted(this.restarts)
        return
      } catch (error) {
        this.#deaths++
        this.#parts.died(String((error as Error).stack ?? error))
      }
    }
  }

  #settle(id: number) {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }
}
