/**
 * The data plane's ports: which indices are taken, by whom, and whether they forward. An index is a row of counters and
 * a place in the core's arrays, and is used again; an id is for people, and is not.
 *
 * A port that is down keeps its id and its counters, so that a VM that comes back is the same port as before; it is no
 * part of the core, and so of no flood. So is one that an operator switched off, whatever is at its other end: it
 * forwards while both its link and its operator say so. Only what the main thread was told survives this thread: every
 * change is an event.
 */
import type { Switch } from '../switch/switch.js'
import type { Captures } from './captures.js'
import type { Egress } from './egress.js'
import { TransmitDrop } from './egress-ledger.js'
import type { EgressPolicy, Endpoint, EndpointPort, PortSettings, PortUpdate } from './endpoint.js'
import type { FindingReporter } from './finding-reporter.js'
import type { Event, RestoredPort } from './messages.js'
import type { Mirrors } from './mirrors.js'
import { PortField, type SharedCounters, SwitchField } from './shared-memory.js'
import type { Tracer } from './tracer.js'

/** Why static addresses are refused. */
const FULL = 'the filtering database is full of static addresses (switch.fdb.maxEntries)'

interface Place {
  readonly transport: string
  readonly staticAddresses: readonly number[]
}

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
  /** By index: ports that an endpoint is to restore, and what is kept for them until then. */
  readonly #places = new Map<number, Place>()
  /** Transports that asked for a port when there was no place. */
  readonly #refused = new Set<string>()
  readonly #parts: PortTableParts

  constructor(parts: PortTableParts) {
    this.#parts = parts
    this.#ports = new Array(parts.maxPorts).fill(null)
  }

  /** Keeps a place and the static addresses of a port that an endpoint, by name, is to restore. */
  reserve(transport: string, { index, settings }: Pick<RestoredPort, 'index' | 'settings'>): void {
    const { staticAddresses } = settings
    // They may have been changed while the endpoint was away.
    const before = this.#places.get(index)?.staticAddresses ?? []
    this.#unbind(index, without(before, staticAddresses))
    this.#places.set(index, { transport, staticAddresses })
    this.#bind(index, false, staticAddresses)
  }

  /** The ports that an endpoint left behind will not be restored. */
  releasePlaces(transport: string): void {
    for (const [index, place] of this.#places) {
      if (place.transport !== transport) continue
      this.#unbind(index, place.staticAddresses)
      this.#places.delete(index)
    }
  }

  /**
   * Takes all ports of an endpoint out, because it has failed. What waits for them is dropped; they keep their places
   * and static addresses, for another endpoint to restore.
   */
  suspend(endpoint: Endpoint): void {
    for (const [index, port] of this.#ports.entries()) {
      if (port?.endpoint !== endpoint) continue
      const wasUp = port.linked
      this.#takeOut(index, port, TransmitDrop.ERROR)
      const { id, transport, settings } = port
      this.reserve(transport, { index, settings })
      if (wasUp) this.#parts.emit({ type: 'port-suspended', index, id, at: this.#parts.clock() })
    }
  }

  /**
   * Static addresses of ports that are down, once entries of ports that are not there have been taken out of the core.
   */
  bindStatics(): void {
    for (const [index, { staticAddresses }] of this.#places) this.#bind(index, false, staticAddresses)
    for (const [index, port] of this.#ports.entries()) {
      if (port !== null && !port.forwards) this.#bindAll(index, port)
    }
  }

  /** Makes a port, down; -1 when there is no place. */
  add(endpoint: Endpoint, port: EndpointPort): number {
    const { counters, emit, clock } = this.#parts
    const index = this.#ports.findIndex((place, at) => place === null && !this.#places.has(at))
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
    this.#places.delete(index)
    this.#parts.egress.countLost(index)
    const down = { linked: false, up: false, forwards: false }
    this.#place(index, { id, name, transport, kind, endpoint, policy, settings, ...down })
  }

  /** `silent` when the port was up before and only this thread is new. */
  up(index: number, update: PortUpdate, silent = false): void {
    const port = this.#get(index)
    port.linked = true
    this.#settle(index, port)
    const { emit, clock } = this.#parts
    if (silent) emit({ type: 'port-resumed', index, id: port.id, at: clock() })
    else emit({ type: 'port-up', index, id: port.id, ...update, at: clock() })
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
    this.#takeOut(index, port, TransmitDrop.PEER_GONE)
    this.#unbind(index, port.settings.staticAddresses)
    this.#parts.findings?.forget(index)
    this.#parts.emit({ type: 'port-removed', index, id: port.id, at: this.#parts.clock() })
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
    if (!this.#setStatics(index, port, settings.staticAddresses)) return FULL
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
    this.#bindAll(index, port)
    this.#wrap(index, port)
  }

  /** Brings the core to what link and operator say. Frames that wait are sent while there is a link. */
  #settle(index: number, port: Port): void {
    const { core, counters, mirrors } = this.#parts
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
    if (forwards) core.addPort(index, policy)
    else core.removePort(index)
    this.#bindAll(index, port)
  }

  #applyPolicy(index: number, port: Port): void {
    const policy = policyOf(port)
    this.#parts.egress.setQueueLimit(index, policy.queueFrames)
    this.#wrap(index, port)
    if (port.forwards) this.#parts.core.setPolicy(index, policy)
  }

  /** All or nothing: false when there is no place for one of them. */
  #setStatics(index: number, port: Port, after: readonly number[]): boolean {
    const before = port.settings.staticAddresses
    const added = without(after, before)
    if (this.#bind(index, port.forwards, added) < added.length) {
      this.#unbind(index, added)
      return false
    }
    this.#unbind(index, without(before, after))
    return true
  }

  /**
   * Enters static addresses: for a port that forwards as where frames go to, for one that does not as what no other
   * port may learn. Returns how many found a place.
   */
  #bind(index: number, forwards: boolean, addresses: readonly number[]): number {
    const { core, clock } = this.#parts
    let bound = 0
    for (const mac of addresses) {
      if (forwards ? core.addStatic(mac, index, clock()) : core.reserveStatic(mac, index, clock())) bound++
    }
    return bound
  }

  /** Enters all static addresses of a port, and tells the operator of those that found no place. */
  #bindAll(index: number, port: Port): void {
    const { findings } = this.#parts
    const { staticAddresses } = port.settings
    const left = staticAddresses.length - this.#bind(index, port.forwards, staticAddresses)
    if (left === 0) findings?.clear(index, 'static-address-refused')
    else {
      const message = `${left} static addresses of port ${port.name} are not bound: ${FULL}; raise that, or give the switch fewer`
      findings?.raise(index, 'static-address-refused', message)
    }
  }

  #unbind(index: number, addresses: readonly number[]): void {
    for (const mac of addresses) this.#parts.core.releaseStatic(mac, index)
  }

  /** Ends all that the data plane does for a port. `reason`: why what waits for it is dropped. */
  #takeOut(index: number, port: Port, reason: number): void {
    const { egress, tracer, mirrors } = this.#parts
    port.linked = false
    this.#settle(index, port)
    egress.removePort(index, reason)
    tracer?.set(index, false)
    mirrors?.remove(index)
    this.#ports[index] = null
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

function without(addresses: readonly number[], others: readonly number[]): number[] {
  return addresses.filter(mac => !others.includes(mac))
}
