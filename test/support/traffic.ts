/** Starts traffic-thread.ts and asks it for windows of traffic. */
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { TrafficSettings, TrafficWindow } from './traffic-thread.js'

export class Traffic {
  readonly #thread: Worker

  static async start(settings: TrafficSettings): Promise<Traffic> {
    const thread = new Worker(join(import.meta.dirname, 'traffic-thread.js'), { workerData: settings })
    await once(thread, 'message')
    return new Traffic(thread)
  }

  private constructor(thread: Worker) {
    this.#thread = thread
  }

  /** Traffic for so many milliseconds. Rejects when a frame came out of order. */
  async window(ms: number): Promise<TrafficWindow> {
    const answer = once(this.#thread, 'message', { signal: AbortSignal.timeout(ms + 30_000) })
    this.#thread.postMessage(ms)
    const [seen] = await answer
    return seen as TrafficWindow
  }

  async stop(): Promise<void> {
    await this.#thread.terminate()
  }
}
