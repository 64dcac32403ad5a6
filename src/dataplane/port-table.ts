/**
 * The data plane's ports: which indices are taken, by whom, and whether they forward. An index is a row of counters and a place
 * in the core's arrays, and is used again; an id is for people, and is not.
 *
 * A port that is down keeps its id and its counters, so that a VM that comes back is the same port as before; it is no part of
 * the core, and so of no flood. So is one that an operator switched off, whoever is at its other end: it forwards while both its
 * link and its operator say so. Only what the main thread was told survives this thread: every change is an event.
 */
import type { Switch } from '../switch/switch.js'
import type { Captures } from './captures.js'
import type { Egress } from './egress.js'
import type { EgressPolicy, Endpoint, EndpointPort, PortSettings, PortUpdate } from './endpoint.js'
import type { FindingReporter } from './finding-reporter.js'
import type { Event } from './messages.js'
import type { Mirrors } from './mirrors.js'
import { PortField, type SharedCounters, SwitchField } from './shared-memory.js'
import type { Tracer } from './tracer.js'

interface Port {
  id: number
  name: string
  transport: string
  kind: string
  endpoint: Endpoint
  /** As its endpoint's other ports have it. */
  policy: EgressPolicy
  settings: PortSettings
  /** Somebody is at the other end. */
  linked: boolean
  /** It is in use: forwards, or gets copies. */
  up: boolean
  /** It is a part of the core. */
  forwards: boolean
}

export interface PortTableParts {
  core: Switch
  egress: Egress
  tracer?: Tracer
  captures?: Captures
  mirrors?: Mirrors
  counters: SharedCounters
  findings?: FindingReporter
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
  /** Transports that asked for a port when there was no place. */
  readonly #refused = new Set<string>()
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
    if (index < 0) {
      this.#refuse(port.transport)
      return -1
    }
    const id = counters.cells[SwitchField.nextPortId]++
    counters.clearPort(index)
    const policy = this.#changedPolicies.get(endpoint) ?? port.policy
    const { name, transport, kind, staticAddresses } = port
    const settings = { enabled: true, policy: {}, staticAddresses }
    this.#place(index, {
      id,
      name,
      transport,
      kind,
      endpoint,
      policy,
      settings,
      linked: false,
      up: false,
      forwards: false,
    })
    emit({ type: 'port-added', index, id, name, transport, kind, staticAddresses, at: clock() })
    return index
  }

  /** Takes over a port of the data plane before this one, as it was. Nobody needs to be told. */
  restore(
    endpoint: Endpoint,
    { name, transport, kind, policy }: EndpointPort,
    index: number,
    { id, settings }: Restorable,
  ): void {
    if (this.#ports[index] !== null) throw new Error(`port index ${index} is taken`)
    this.#reserved.delete(index)
    this.#place(index, {
      id,
      name,
      transport,
      kind,
      endpoint,
      policy,
      settings,
      linked: false,
      up: false,
      forwards: false,
    })
    this.#parts.counters.cells[this.#parts.counters.portRow(index) + PortField.queueFrames] = 0
  }

  /** `silent` when the port was up before and only this thread is new. */
  up(index: number, update: PortUpdate, silent = false): void {
    const port = this.#get(index)
    port.linked = true
    this.#settle(index, port)
    if (!silent) this.#parts.emit({ type: 'port-up', index, id: port.id, ...update, at: this.#parts.clock() })
  }

  down(index: number, update: PortUpdate): void {
    const port = this.#get(index)
    port.linked = false
    this.#settle(index, port)
    this.#parts.egress.drain(index)
    this.#parts.emit({ type: 'port-down', index, id: port.id, ...update, at: this.#parts.clock() })
  }

  remove(index: number): void {
    const port = this.#get(index)
    if (port.linked) this.down(index, { peer: null, restore: null })
    this.#parts.egress.removePort(index)
    this.#parts.tracer?.set(index, false)
    this.#parts.mirrors?.remove(index)
    this.#parts.findings?.forget(index)
    this.#parts.emit({ type: 'port-removed', index, id: port.id, at: this.#parts.clock() })
    this.#ports[index] = null
    for (const transport of this.#refused) this.#parts.findings?.clear(transport, 'port-limit')
    this.#refused.clear()
  }

  /** The endpoint that a port belongs to, by name, and the port's id. */
  ownerOf(index: number): { readonly endpoint: string; readonly id: number } | undefined {
    const port = this.#ports[index]
    return port === null || port === undefined ? undefined : { endpoint: port.transport, id: port.id }
  }

  setPolicy(endpoint: Endpoint, policy: EgressPolicy): void {
    this.#changedPolicies.set(endpoint, policy)
    for (const [index, port] of this.#ports.entries()) {
      if (port?.endpoint !== endpoint) continue
      port.policy = policy
      this.#applyPolicy(index, port)
      this.#settle(index, port)
    }
  }

  /** Returns why not, and has changed nothing then; null when done. A port that has gone meanwhile needs nothing. */
  setPort(index: number, id: number, settings: PortSettings): string | null {
    const port = this.#ports[index]
    if (port?.id !== id) return null
    if (port.forwards && !this.#setStatics(index, port.settings.staticAddresses, settings.staticAddresses)) {
      return 'the filtering database is full'
    }
    port.settings = settings
    this.#applyPolicy(index, port)
    this.#settle(index, port)
    return null
  }

  /** Takes down what is at the other end. */
  disconnect(index: number, id: number): void {
    const port = this.#ports[index]
    if (port?.id === id && port.linked) port.endpoint.gone(index)
  }

  isUp(index: number): boolean {
    return this.#ports[index]?.up === true
  }

  #refuse(transport: string): void {
    this.#refused.add(transport)
    const { findings, maxPorts } = this.#parts
    findings?.raise(
      transport,
      'port-limit',
      () =>
        `${transport} needs another port, and all ${maxPorts} are in use; raise switch.maxPorts, or limit the peers of a transport`,
      { maxPorts },
    )
  }

  #place(index: number, port: Port): void {
    this.#ports[index] = port
    this.#parts.egress.addPort(index, port.endpoint, policyOf(port).queueFrames)
    this.#parts.captures?.portAt(index, port)
    this.#wrap(index, port)
  }

  /** Brings the core to what link and operator say. Frames that wait are sent while there is a link. */
  #settle(index: number, port: Port): void {
    const { core, counters, mirrors, clock } = this.#parts
    const policy = policyOf(port)
    const mirrored = policy.mirrors?.length ? policy.mirrors : null
    port.up = port.linked && port.settings.enabled
    counters.cells[counters.portRow(index) + PortField.up] = port.up ? 1 : 0
    if (port.up)
      mirrors?.set(index, { name: port.name, transport: port.transport, mirrors: mirrored }, policy.maxFrameSize)
    else mirrors?.remove(index)
    const forwards = port.up && mirrored === null
    if (forwards === port.forwards) return
    port.forwards = forwards
    if (!forwards) {
      core.removePort(index)
      return
    }
    core.addPort(index, policy)
    for (const mac of port.settings.staticAddresses) core.addStatic(mac, index, clock())
  }

  #applyPolicy(index: number, port: Port): void {
    const policy = policyOf(port)
    this.#parts.egress.setQueueLimit(index, policy.queueFrames)
    this.#wrap(index, port)
    if (port.forwards) this.#parts.core.setPolicy(index, policy)
  }

  /** All or nothing: false when there is no place for one of them. */
  #setStatics(index: number, before: readonly number[], after: readonly number[]): boolean {
    const { core, clock } = this.#parts
    const added: number[] = []
    for (const mac of after) {
      if (before.includes(mac)) continue
      if (!core.addStatic(mac, index, clock())) {
        for (const undone of added) core.removeStatic(undone)
        return false
      }
      added.push(mac)
    }
    for (const mac of before) if (!after.includes(mac)) core.removeStatic(mac)
    return true
  }

  /** Sets what stands around the port: the line that impairs it, and the tracer. */
  #wrap(index: number, port: Port): void {
    const { impairment, trace } = policyOf(port)
    this.#parts.egress.setImpairment(index, port.name, impairment ?? null)
    this.#parts.tracer?.set(index, trace ?? false)
  }

  #get(index: number): Port {
    const port = this.#ports[index]
    if (port === null || port === undefined) throw new Error(`no port with index ${index}`)
    return port
  }
}

/** What another data plane knew of the port. */
export interface Restorable {
  readonly id: number
  readonly settings: PortSettings
}

/** What does not fit through the endpoint is not sent to it, whatever anybody set. */
function policyOf({ endpoint, policy, settings }: Port): EgressPolicy {
  const wanted = { ...policy, ...settings.policy }
  return { ...wanted, maxFrameSize: Math.min(wanted.maxFrameSize, endpoint.maxFrameSize ?? wanted.maxFrameSize) }
}
