/** Writes what happens on the switch into the log. Ports are named; what guests can cause often is rate-limited. */
import type { DataPlane } from '../dataplane/data-plane.js'
import type { Event, FrameEvent } from '../dataplane/messages.js'
import type { Logger } from '../log.js'

export class EventLog {
  readonly #log: Logger
  readonly #dataPlane: DataPlane

  constructor(log: Logger, dataPlane: DataPlane) {
    this.#log = log
    this.#dataPlane = dataPlane
  }

  write(event: Event): void {
    switch (event.type) {
      case 'port-up':
        this.#log.info({ port: this.#name(event.index), id: event.id, peer: event.peer }, 'port up')
        return
      case 'port-down':
        this.#log.info({ port: this.#name(event.index), id: event.id }, 'port down')
        return
      case 'frame':
        this.#frame(event)
        return
      case 'mac-learned':
        this.#log.debug({ mac: event.mac, port: this.#name(event.port) }, 'address learned')
        return
      case 'mac-moved':
        this.#log.debug({ mac: event.mac, from: this.#name(event.from), to: this.#name(event.to) }, 'address moved')
        return
    }
  }

  #frame({ port, direction, source, destination, etherType, length }: FrameEvent): void {
    const type = etherType === null ? null : `0x${etherType.toString(16).padStart(4, '0')}`
    this.#log.info({ port: this.#name(port), direction, source, destination, etherType: type, length }, 'frame')
  }

  #name(index: number): string {
    return this.#dataPlane.ports.get(index)?.name ?? `#${index}`
  }
}
