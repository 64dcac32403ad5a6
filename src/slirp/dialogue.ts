/**
 * The switch's side of the talk with the slirp process: requests that wait for replies, and what the process printed
 * last.
 */
import type { ChildProcess } from 'node:child_process'
import type { SlirpCommand, SlirpRequest, SlirpResult } from './messages.js'

/** A turn takes at most a second and what libslirp needs. */
const REPLY_TIMEOUT_MS = 10_000
/** Characters of it that are kept. */
const KEPT = 4096
/**
 * Bytes read of it in a second: guests can make libslirp print a line for each frame. What the pipe does not take is
 * lost.
 */
const READ_BYTES = 64 * 1024
const PAUSE_MS = 1000

interface Waiting {
  readonly resolve: (result: SlirpResult) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

export class Requests {
  readonly #send: (request: SlirpRequest) => void
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1
  #isClosed = false

  constructor(send: (request: SlirpRequest) => void) {
    this.#send = send
  }

  /** Rejects when there is no reply in time, or when the process ends before. */
  ask(command: SlirpCommand, timeoutMs = REPLY_TIMEOUT_MS): Promise<SlirpResult> {
    if (this.#isClosed) return Promise.reject(new Error('slirp is being restarted'))
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        reject(new Error(`slirp did not answer '${command.type}' in ${timeoutMs / 1000} s`))
      }, timeoutMs)
      this.#waiting.set(id, { resolve, reject, timer })
      this.#send({ id, command })
    })
  }

  answer(id: number, result: SlirpResult): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    clearTimeout(waiting.timer)
    waiting.resolve(result)
  }

  /** The process has ended. */
  close(): void {
    this.#isClosed = true
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer)
      reject(new Error('slirp is being restarted'))
    }
    this.#waiting.clear()
  }
}

export class LastWords {
  #text = ''
  #read = 0

  constructor({ stderr }: ChildProcess) {
    stderr?.on('error', () => {})
    stderr?.on('data', (piece: Buffer) => {
      this.#text = (this.#text + piece.toString()).slice(-KEPT)
      this.#read += piece.length
      if (this.#read < READ_BYTES) return
      this.#read = 0
      stderr.pause()
      setTimeout(() => stderr.resume(), PAUSE_MS).unref()
    })
  }

  /** The line that says most: that of an error where there is one. */
  text(): string {
    const lines = this.#text.split('\n').filter(line => line.trim() !== '')
    return (lines.find(line => /^\w*Error\b/.test(line)) ?? lines.at(-1) ?? '').slice(0, 300)
  }
}
