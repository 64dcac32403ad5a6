/** The captures of a switch: how many there may be, and what becomes of them when the data plane is replaced or the switch stops. */

import type { CaptureCount } from '../dataplane/captures.js'
import { sharedClock } from '../dataplane/clock.js'
import type { DataPlane } from '../dataplane/data-plane.js'
import type { Event } from '../dataplane/messages.js'
import { OperatorError } from '../errors.js'
import { closeAll, type Os } from '../os/os.js'
import { streamPair } from '../os/stream-socket.js'
import { version } from '../version.js'
import { Capture, type CaptureOptions } from './capture.js'

/** Each costs the data plane a copy of every frame it matches. */
export const maxCaptures = 16

export class Captures {
  readonly #os: Os
  readonly #dataPlane: DataPlane
  readonly #running = new Map<number, Capture>()
  readonly #stopping = new Map<number, (counts: CaptureCount[]) => void>()
  /** Names of ports that are gone, as long as frames of them may come. */
  readonly #names = new Map<number, { name: string; kind: string }>()
  readonly #clock = sharedClock()
  #nextId = 1

  constructor(os: Os, dataPlane: DataPlane) {
    this.#os = os
    this.#dataPlane = dataPlane
    dataPlane.on('event', event => this.#onEvent(event))
    dataPlane.on('restarted', () => {
      for (const capture of this.#running.values()) void capture.start()
    })
  }

  /** Those that run. */
  all(): Capture[] {
    return [...this.#running.values()]
  }

  get(id: number): Capture | undefined {
    return this.#running.get(id)
  }

  /** Throws OperatorError when there are too many already. The filter must be valid. */
  async start(options: CaptureOptions): Promise<Capture> {
    if (this.#running.size >= maxCaptures)
      throw new OperatorError(`${maxCaptures} captures run already, which is the limit`)
    for (const { id, name, kind } of this.#dataPlane.ports.values()) this.#names.set(id, { name, kind })
    const id = this.#nextId++
    const capture = new Capture({
      id,
      options,
      ends: streamPair(this.#os.layout),
      closeDescriptor: fd => closeAll([fd]),
      start: spec => this.#dataPlane.command({ type: 'capture-start', capture: spec }),
      stop: captureId => this.#stopped(captureId),
      portName: portId => this.#names.get(portId) ?? { name: `port ${portId}`, kind: 'unknown' },
      clock: this.#clock,
      application: `tapswitch ${version}`,
    })
    this.#running.set(id, capture)
    void capture.ended.then(() => this.#forget(id))
    await capture.start()
    return capture
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map(capture => capture.stop()))
  }

  /** Null when the data plane does not answer: its end of the socket may still be in use then. */
  async #stopped(id: number): Promise<CaptureCount[] | null> {
    let counts: CaptureCount[] = []
    this.#stopping.set(id, result => {
      counts = result
    })
    try {
      // The event comes before the reply; a data plane that has died has nothing to say.
      await this.#dataPlane.command({ type: 'capture-stop', id })
      return counts
    } catch {
      return null
    } finally {
      this.#stopping.delete(id)
    }
  }

  #forget(id: number): void {
    this.#running.delete(id)
    if (this.#running.size === 0) this.#names.clear()
  }

  #onEvent(event: Event): void {
    if (event.type === 'capture-stopped') this.#stopping.get(event.id)?.(event.counts)
    if (event.type === 'port-added' && this.#running.size > 0) {
      this.#names.set(event.id, { name: event.name, kind: event.kind })
    }
  }
}
