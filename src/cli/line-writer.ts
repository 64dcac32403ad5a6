/**
 * Lines on their way to stderr or stdout. Whatever is at the other end, a full disk, a reader that sleeps, a closed
 * pipe, the switch goes on: a line that cannot be written now waits in a bounded buffer, and one that does not fit is
 * lost and counted.
 *
 * - EAGAIN (the reader does not read): tried again every 20 ms.
 * - ENOSPC, EIO and the like: tried again once a second; the lines that waited appear when there is space again.
 * - EPIPE, EBADF (the reader is gone for good): everything is lost from now on.
 *
 * Where lines are missing, a line says how many, as soon as there is room for it. At the exit of the process, what
 * waits is written for as long as `EXIT_MS` allows.
 */
import { constants } from 'node:os'
import type { UnwaitingOutput } from '../os/unwaiting-output.js'

/** Bytes that wait at most; arbitrary: a few thousand lines. */
const MAX_BYTES = 1024 * 1024
/** Milliseconds before the next attempt. */
const READER_MS = 20
const FAULT_MS = 1000
/** Milliseconds that the exit of the process may take for lines that still wait. */
const EXIT_MS = 250
const EXIT_STEP_MS = 5

const { EAGAIN, EINTR, EPIPE, EBADF } = constants.errno

export interface LineWriterOptions {
  readonly write: UnwaitingOutput
  /** The line, with its end, that stands for `count` lost ones. */
  readonly lostLine: (count: number) => string
  /** Lines begin to get lost (an error's name), or are written again (null). Must not throw. */
  readonly onTrouble?: (why: string | null) => void
  readonly maxBytes?: number
}

export class LineWriter {
  readonly #options: LineWriterOptions
  readonly #maxBytes: number
  /** What waits, oldest first; the first may have been written in part. */
  #waiting: Uint8Array[] = []
  #bytes = 0
  #timer: NodeJS.Timeout | undefined
  #lost = 0
  #lostInAll = 0
  #isGone = false
  #trouble: string | null = null

  constructor(options: LineWriterOptions) {
    this.#options = options
    this.#maxBytes = options.maxBytes ?? MAX_BYTES
  }

  /** Lines lost since the start. */
  get lost(): number {
    return this.#lostInAll
  }

  /** `line` ends with a newline. */
  write(line: string): void {
    const bytes = Buffer.from(line)
    if (this.#isGone || this.#bytes + bytes.length > this.#maxBytes) {
      this.#lose(1)
      return
    }
    // A gap is told of where it is: before the line that follows it.
    this.#tellLost()
    this.#add(bytes)
    if (this.#timer === undefined) this.#pump()
  }

  /** Writes what waits, for a limited time; for the exit of the process, when no timer runs any more. */
  flushAtExit(): void {
    clearTimeout(this.#timer)
    const until = performance.now() + EXIT_MS
    const nap = new Int32Array(new SharedArrayBuffer(4))
    for (;;) {
      const fault = this.#writeWaiting()
      if (fault === 0 || this.#isGone || performance.now() >= until) return
      Atomics.wait(nap, 0, 0, EXIT_STEP_MS)
    }
  }

  #pump(): void {
    this.#timer = undefined
    const fault = this.#writeWaiting()
    if (fault === 0 || this.#isGone) return
    this.#timer = setTimeout(() => this.#pump(), fault === EAGAIN ? READER_MS : FAULT_MS)
    this.#timer.unref()
  }

  /** Returns 0 when nothing waits any more, else the error number that is in the way. */
  #writeWaiting(): number {
    while (this.#waiting.length > 0) {
      const fault = this.#writeFirst()
      if (fault !== 0) return fault
      if (this.#waiting.length === 0) this.#tellLost()
    }
    if (this.#trouble !== null) this.#setTrouble(null)
    return 0
  }

  #writeFirst(): number {
    const first = this.#waiting[0] as Uint8Array
    const result = this.#options.write(first)
    if (result === -EINTR) return 0
    if (result < 0) {
      if (result === -EPIPE || result === -EBADF) this.#give(-result)
      else if (result !== -EAGAIN) this.#setTrouble(nameOf(-result))
      return -result
    }
    this.#bytes -= result
    if (result === first.length) this.#waiting.shift()
    else this.#waiting[0] = first.subarray(result)
    return 0
  }

  #add(bytes: Uint8Array): void {
    this.#waiting.push(bytes)
    this.#bytes += bytes.length
  }

  /** The reader is gone for good. */
  #give(fault: number): void {
    this.#isGone = true
    this.#lose(this.#waiting.length, nameOf(fault))
    this.#waiting = []
    this.#bytes = 0
  }

  #lose(lines: number, why = 'EAGAIN'): void {
    this.#lost += lines
    this.#lostInAll += lines
    this.#setTrouble(this.#trouble ?? why)
  }

  #tellLost(): void {
    if (this.#lost === 0) return
    const line = Buffer.from(this.#options.lostLine(this.#lost))
    this.#lost = 0
    this.#add(line)
  }

  #setTrouble(why: string | null): void {
    if (this.#trouble === why) return
    this.#trouble = why
    this.#options.onTrouble?.(why)
  }
}

function nameOf(fault: number): string {
  const found = Object.entries(constants.errno).find(([, value]) => value === fault)
  return found?.[0] ?? `errno ${fault}`
}
