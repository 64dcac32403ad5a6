/**
 * The data plane's ports: which indices are taken, by whom, and whether they forward. An index is a row of counters and a place
 * in the core's arrays, and is used again; an id is for people, and is not.
 *
 * A port that is down keeps its id and its counters, so that a VM that comes back is the same port as before; it is no part of
 * the core, and so of no flood. Only what the main thread was told survives this thread: every change is an event.
 */
import type { Switch } from '../switch/switch.js'
import type { Egress } from './egress.js'
import type { EgressPolicy, Endpoint, EndpointPort, PortUpdate } from './endpoint.js'
import type { Event } from './messages.js'
import { PortField, type SharedCounters, SwitchField } from './shared-memory.js'
import type { Tracer } from './tracer.js'

interface Port {
  id: number
  name: string
  endpoint: Endpoint
  policy: EgressPolicy
  staticAddresses: readonly number[]
  up: boolean
}

export interface PortTableParts {
  core: Switch
  egress: Egress
  tracer?: Tracer
  counters: SharedCounters
  maxPorts: number
  clock: () => number
  emit: (event: Event) => void
}

export class PortTable {
  readonly #ports: (Port | null)[]
  /** Policies that were changed after the endpoint was made; its next ports get them too. */
  readonly #changedPolicies = new WeakMap<Endpoint, EgressPolicy>()
  /** Places of ports that an endpoint is about to restore. */
  readonly #reserved = new Set<number>()
  readonly #parts: PortTableParts

  constructor(parts: PortTableParts) {
    this.#parts = parts
    this.#ports = new Array(parts.maxPorts).fill(null)
  }

  /** Keeps a place for a port of the data plane before this one, whose endpoint is not open yet. */
  reserve(index: number): void {
    this.#reserved.add(index)
  }

  /** Makes a port, down; -1 when there is no place. */
  add(endpoint: Endpoint, port: EndpointPort): number {
    const { counters, emit, clock } = this.#parts
    const index = this.#ports.findIndex((place, at) => place === null && !this.#reserved.has(at))
    if (index < 0) return -1
    const id = counters.cells[SwitchField.nextPortId]++
    counters.clearPort(index)
    const policy = this.#changedPolicies.get(endpoint) ?? port.policy
    this.#place(index, { id, name: port.name, endpoint, policy, staticAddresses: port.staticAddresses, up: false })
    emit({ type: 'port-added', index, id, name: port.name, transport: port.transport, kind: port.kind, at: clock() })
    return index
  }

  /** Takes over a port of the data plane before this one, as it was. Nobody needs to be told. */
  restore(endpoint: Endpoint, port: EndpointPort, index: number, id: number): void {
    if (this.#ports[index] !== null) throw new Error(`port index ${index} is taken`)
    this.#reserved.delete(index)
    const { name, policy, staticAddresses } = port
    this.#place(index, { id, name, endpoint, policy, staticAddresses, up: false })
    this.#parts.counters.cells[this.#parts.counters.portRow(index) + PortField.queueFrames] = 0
  }

  /** `silent` when the port was up before and only this thread is new. */
  up(index: number, update: PortUpdate, silent = false): void {
    const port = this.#get(index)
    const { core, counters, clock, emit } = this.#parts
    if (!port.up) {
      port.up = true
      core.addPort(index, port.policy)
      for (const mac of port.staticAddresses) core.addStatic(mac, index, clock())
      counters.cells[counters.portRow(index) + PortField.up] = 1
    }
    if (!silent) emit({ type: 'port-up', index, id: port.id, ...update, at: clock() })
  }

  down(index: number, update: PortUpdate): void {
    const port = this.#get(index)
    const { core, egress, counters, clock, emit } = this.#parts
    if (port.up) {
      port.up = false
      core.removePort(index)
      egress.drain(index)
      counters.cells[counters.portRow(index) + PortField.up] = 0
    }
    emit({ type: 'port-down', index, id: port.id, ...update, at: clock() })
  }

  remove(index: number): void {
    const port = this.#get(index)
    if (port.up) this.down(index, { peer: null, restore: null })
    this.#parts.egress.removePort(index)
    this.#parts.tracer?.set(index, false)
    this.#parts.emit({ type: 'port-removed', index, id: port.id, at: this.#parts.clock() })
    this.#ports[index] = null
  }

  setPolicy(endpoint: Endpoint, policy: EgressPolicy): void {
    this.#changedPolicies.set(endpoint, policy)
    for (const [index, port] of this.#ports.entries()) {
      if (port?.endpoint !== endpoint) continue
      port.policy = policy
      this.#parts.egress.setQueueLimit(index, policy.queueFrames)
      this.#wrap(index, port)
      if (port.up) this.#parts.core.setPolicy(index, policy)
    }
  }

  isUp(index: number): boolean {
    return this.#ports[index]?.up === true
  }

  #place(index: number, port: Port): void {
    this.#ports[index] = port
    this.#parts.egress.addPort(index, port.endpoint, port.policy.queueFrames)
    this.#wrap(index, port)
  }

  /** Sets what stands around the port: the line that impairs it, and the tracer. */
  #wrap(index: number, { name, policy }: Port): void {
    this.#parts.egress.setImpairment(index, name, policy.impairment ?? null)
    this.#parts.tracer?.set(index, policy.trace ?? false)
  }

  #get(index: number): Port {
    const port = this.#ports[index]
    if (port === null || port === undefined) throw new Error(`no port with index ${index}`)
    return port
  }
}
