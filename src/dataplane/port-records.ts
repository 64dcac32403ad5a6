/**
 * What the main thread knows of the data plane's ports, from events; the next data plane, or the next endpoint, is made
 * from it.
 */
import type { EndpointSpec, Event, RestoredPort } from './messages.js'

export interface PortRecord extends RestoredPort {
  /** What the endpoint called it; `name` may have been changed since. */
  readonly givenName: string
  endpoint: string
  kind: string
  /** Opened by the endpoint for this port alone. */
  descriptors?: readonly number[]
  /** Milliseconds since 1970 at the last change. */
  since: number
  /** It was up, with this peer, when its endpoint failed; the next endpoint restores it as that. */
  suspended?: { readonly peer: string | null } | null
}

export class PortRecords {
  readonly byIndex = new Map<number, PortRecord>()
  readonly #publish: (event: Event) => void

  /** `publish` gets what others are to know: a port that its endpoint's failure took down is down. */
  constructor(publish: (event: Event) => void) {
    this.#publish = publish
  }

  of(endpoint: string): PortRecord[] {
    return [...this.byIndex.values()].filter(port => port.endpoint === endpoint)
  }

  /** The ports of an endpoint that is to be made, as they were. */
  restored(endpoint: string): EndpointSpec['ports'] {
    return this.of(endpoint).map(({ index, id, givenName: name, up, peer, restore, settings, suspended }) => {
      return { index, id, name, up: up || suspended != null, peer: suspended?.peer ?? peer, restore, settings }
    })
  }

  /** The endpoint serves: ports that were up and are not restored by now have lost their peers. */
  settle(endpoint: string): void {
    for (const port of this.of(endpoint)) port.suspended = null
  }

  /** Takes what an event says of a port. Returns false for an event that is about something else. */
  take(event: Event): boolean {
    switch (event.type) {
      case 'port-added':
        this.#add(event)
        break
      case 'port-up':
      case 'port-down':
        this.#change(event.index, {
          up: event.type === 'port-up',
          peer: event.peer,
          restore: event.restore,
          descriptors: event.descriptors ?? [],
          suspended: null,
          since: Date.now(),
        })
        break
      case 'port-restore':
        this.#change(event.index, { restore: event.restore })
        return true
      case 'port-suspended':
        this.#suspend(event)
        return true
      case 'port-resumed':
        this.#resume(event)
        return true
      case 'port-removed':
        this.#publish(event)
        this.byIndex.delete(event.index)
        return true
      default:
        return false
    }
    this.#publish(event)
    return true
  }

  #add(event: Extract<Event, { type: 'port-added' }>): void {
    const { index, id, name, transport, kind, staticAddresses } = event
    // A name that its owner needs now is given back by the port that borrowed it.
    for (const port of this.byIndex.values()) if (port.name === name) port.name = port.givenName
    this.byIndex.set(index, {
      ...{ index, id, name, givenName: name, endpoint: transport, kind },
      ...{ up: false, peer: null, restore: null, since: Date.now() },
      settings: { enabled: true, policy: {}, staticAddresses },
    })
  }

  #suspend({ index, id, at }: Extract<Event, { type: 'port-suspended' }>): void {
    const port = this.byIndex.get(index)
    if (port === undefined) return
    Object.assign(port, { up: false, suspended: { peer: port.peer }, peer: null, since: Date.now() })
    this.#publish({ type: 'port-down', index, id, at, peer: null, restore: port.restore })
  }

  #resume({ index, id, at }: Extract<Event, { type: 'port-resumed' }>): void {
    const port = this.byIndex.get(index)
    // After a restart of the whole data plane it never was down.
    if (port?.suspended == null) return
    Object.assign(port, { up: true, peer: port.suspended.peer, suspended: null, since: Date.now() })
    this.#publish({ type: 'port-up', index, id, at, peer: port.peer, restore: port.restore })
  }

  #change(index: number, change: Partial<PortRecord>): void {
    const port = this.byIndex.get(index)
    if (port !== undefined) Object.assign(port, change)
  }
}
