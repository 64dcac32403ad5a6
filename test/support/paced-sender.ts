/**
 * Sends frames at a steady rate and remembers when: at any later time it can be asked how many had left by then. What a
 * stall of this process held up is sent afterwards, and shows in that record.
 */
import type { RawPeer } from './raw-peer.js'

const INTERVAL_MS = 20

export class PacedSender {
  readonly frame: Uint8Array
  readonly #peer: RawPeer
  readonly #framesPerSecond: number
  /** [milliseconds since 1970, frames sent by then], oldest first. */
  readonly #record: [number, number][] = []
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined

  constructor(peer: RawPeer, frame: Uint8Array, framesPerSecond: number) {
    this.#peer = peer
    this.frame = frame
    this.#framesPerSecond = framesPerSecond
  }

  get sent(): number {
    return this.#record.at(-1)?.[1] ?? 0
  }

  start(): void {
    this.#running = this.#run()
  }

  /** Resolves when the last frame was taken by the kernel. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  /** Frames a second between two times (milliseconds since 1970). */
  rateBetween(from: number, to: number): number {
    return ((this.#sentBy(to) - this.#sentBy(from)) * 1000) / (to - from)
  }

  #sentBy(time: number): number {
    return this.#record.findLast(([at]) => at <= time)?.[1] ?? 0
  }

  async #run(): Promise<void> {
    const began = Date.now()
    this.#record.push([began, 0])
    while (!this.#stop.signal.aborted) {
      await new Promise(resolve => setTimeout(resolve, INTERVAL_MS))
      const due = Math.floor(((Date.now() - began) * this.#framesPerSecond) / 1000) - this.sent
      if (due <= 0) continue
      await this.#peer.send(
        Array.from({ length: due }, () => this.frame),
        30_000,
      )
      this.#record.push([Date.now(), this.sent + due])
    }
  }
}
