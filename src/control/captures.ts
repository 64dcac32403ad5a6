/**
 * The captures of a switch: how many there may be, and what becomes of them when the data plane is replaced or the
 * switch stops.
 */

import type { PortLabel } from '../dataplane/capture-record.js'
import type { CaptureCount } from '../dataplane/capture-session.js'
import { sharedClock } from '../dataplane/clock.js'
import type { DataPlane } from '../dataplane/data-plane.js'
import type { Event } from '../dataplane/messages.js'
import { OperatorError } from '../errors.js'
import { compileFilter } from '../os/filter-compiler.js'
import { closeAll, type Os } from '../os/os.js'
import { streamPair } from '../os/stream-socket.js'
import { version } from '../version.js'
import type { BpfProgram } from '../wire/bpf.js'
import { Capture, type CaptureOptions } from './capture.js'

/** Each costs the data plane a copy of every frame it matches. */
export const maxCaptures = 16

export class TooManyCaptures extends OperatorError {
  constructor() {
    super(`${maxCaptures} captures run already, which is the limit`)
  }
}

export class Captures {
  readonly #os: Os
  readonly #dataPlane: DataPlane
  readonly #running = new Map<number, Capture>()
  readonly #stopping = new Map<number, (counts: CaptureCount[]) => void>()
  /** Captures that are being made: they have a place, but do not run yet. */
  #starting = 0
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

  /**
   * @throws OperatorError when there are too many already, or no libpcap for a filter
   * @throws FilterError when the filter is refused
   */
  async start(options: CaptureOptions): Promise<Capture> {
    if (this.#running.size + this.#starting >= maxCaptures) throw new TooManyCaptures()
    this.#starting++
    try {
      const program = options.filter.trim() === '' ? null : await compileFilter(options.filter)
      const capture = this.#make(options, program)
      await capture.start()
      return capture
    } finally {
      this.#starting--
    }
  }

  #make(options: CaptureOptions, program: BpfProgram | null): Capture {
    const id = this.#nextId++
    const capture = new Capture({
      id,
      options,
      program,
      ends: streamPair(this.#os.layout),
      closeDescriptor: fd => closeAll([fd]),
      start: spec => this.#dataPlane.command({ type: 'capture-start', capture: spec }),
      stop: captureId => this.#stopped(captureId),
      portLabel: portId => this.#labelOf(portId),
      clock: this.#clock,
      application: `tapswitch ${version}`,
    })
    this.#running.set(id, capture)
    void capture.ended.then(() => this.#running.delete(id))
    return capture
  }

  #labelOf(portId: number): PortLabel | undefined {
    for (const port of this.#dataPlane.ports.values()) if (port.id === portId) return port
    return undefined
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

  #onEvent(event: Event): void {
    if (event.type === 'capture-stopped') this.#stopping.get(event.id)?.(event.counts)
  }
}
