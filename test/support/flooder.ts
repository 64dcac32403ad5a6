/** A flooder (flood-thread.ts), and a station that sends a frame now and then beside it. */
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { FloodSettings } from './flood-thread.js'

const program = join(import.meta.dirname, 'flood-thread.js')

export class Flooder {
  readonly #worker: Worker
  readonly #words: Int32Array

  /** Resolves when its first frame is sent. */
  static async start(settings: Omit<FloodSettings, 'words'>): Promise<Flooder> {
    const words = new SharedArrayBuffer(8)
    const workerData: FloodSettings = { ...settings, words }
    const worker = new Worker(program, { workerData })
    await once(worker, 'message')
    return new Flooder(worker, new Int32Array(words))
  }

  private constructor(worker: Worker, words: Int32Array) {
    this.#worker = worker
    this.#words = words
  }

  /** Frames that the kernel took from it so far, in round hundreds. */
  get sent(): number {
    return Atomics.load(this.#words, 1) * 100
  }

  go(on: boolean): void {
    Atomics.store(this.#words, 0, on ? 1 : 0)
    Atomics.notify(this.#words, 0)
  }

  async stop(): Promise<void> {
    Atomics.store(this.#words, 0, -1)
    Atomics.notify(this.#words, 0)
    await this.#worker.terminate()
  }
}

export interface Pings {
  sent: number
  lost: number
  /** Of those that arrived, milliseconds; Infinity when none did. */
  median: number
}

export interface PingOptions {
  count: number
  everyMs: number
  send(number: number): Promise<unknown>
  /** Numbers of the pings that have arrived since the last call; asked for again and again. */
  arrived(): readonly number[]
}

/** How long a ping may take. */
const LATE_MS = 1000
const LOOK_MS = 1

/** Sends pings at a steady pace. */
export async function pings({ count, everyMs, send, arrived }: PingOptions): Promise<Pings> {
  const sentAt: number[] = []
  const took = new Map<number, number>()
  const look = () => {
    for (const number of arrived()) took.set(number, performance.now() - (sentAt[number] as number))
  }
  const began = performance.now()
  for (let number = 0; number < count; number++) {
    while (performance.now() < began + number * everyMs) {
      await delay(LOOK_MS)
      look()
    }
    sentAt.push(performance.now())
    await send(number)
  }
  for (const end = performance.now() + LATE_MS; took.size < count && performance.now() < end; look()) {
    await delay(LOOK_MS)
  }
  const times = [...took.values()].sort((a, b) => a - b)
  return { sent: count, lost: count - took.size, median: times[times.length >> 1] ?? Number.POSITIVE_INFINITY }
}
