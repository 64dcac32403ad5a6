/** Changes to the running switch: checks what is asked for against what is there, and has the control plane do it. */
import { type Side, withEntry, withoutEntry, withSwitch } from '../config/change.js'
import type { Config } from '../config/config.js'
import { confinementFault, forwardFault } from '../config/confinement.js'
import type { Forward } from '../config/forwards.js'
import { surroundings } from '../config/load.js'
import { usedByForward } from '../config/used-files.js'
import { CommandRefused, type DataPlane, DataPlaneEnded, type PortRecord } from '../dataplane/data-plane.js'
import type { EgressPolicy, PortSettings } from '../dataplane/endpoint.js'
import { ConfigError, OperatorError } from '../errors.js'
import type { Transport } from '../transports/transport.js'
import { parseMac } from '../wire/ethernet.js'
import type { Attachment, Attachments } from './attachments.js'
import type { EventBus } from './event-bus.js'
import type { FdbView } from './fdb-view.js'
import type { FileSandbox } from './file-sandbox.js'
import { effectivePolicy } from './port-policy.js'
import { type PortChange, Refused, type SaveReport, type SwitchChange, type SwitchControl } from './switch-control.js'

export interface LiveControlParts {
  readonly config: () => Config
  readonly dataPlane: DataPlane
  readonly attachments: Attachments
  readonly fdb: FdbView
  readonly bus: EventBus
  /** Runs a task when the changes before it are done, and before those after it. */
  readonly inTurn: <Result>(task: () => Promise<Result>) => Promise<Result>
  /** Brings the switch to a configuration; to be called in turn. */
  readonly apply: (next: Config) => Promise<unknown>
  readonly sandbox: FileSandbox
  /** Writes the file; to be called in turn. `written` are entries in the form they were added in. */
  readonly save: (written: ReadonlyMap<string, unknown>) => Promise<SaveReport>
}

export class LiveControl implements SwitchControl {
  readonly #parts: LiveControlParts
  /** What was added over the API, as it was written. */
  readonly #added = new Map<string, unknown>()

  constructor(parts: LiveControlParts) {
    this.#parts = parts
  }

  changeSwitch(change: SwitchChange): Promise<void> {
    return this.#inTurn(async () => {
      const config = this.#parts.config()
      await this.#parts.apply(withSwitch(config, change, surroundings(config.file)))
      this.#parts.bus.emit({ type: 'switch-changed' })
    })
  }

  changePort(id: number, change: PortChange): Promise<void> {
    return this.#inTurn(async () => {
      const port = this.#portById(id)
      const name = this.#nameFor(port, change.name)
      const settings = this.#settingsFor(port, change)
      await this.#set(port, settings)
      port.name = name
      this.#parts.bus.emit({ type: 'port-changed', port: port.name, portId: id })
    })
  }

  disconnectPort(id: number): Promise<void> {
    return this.#inTurn(async () => {
      const port = this.#portById(id)
      if (this.#parts.attachments.get(port.endpoint)?.side === 'interfaces') {
        throw new Refused('cannot-disconnect', `${port.name} is a port of the host; switch it off with enabled: false.`)
      }
      if (!port.up) throw new Refused('not-connected', `Nobody is connected to ${port.name}.`)
      await this.#parts.dataPlane.command({ type: 'disconnect', index: port.index, id })
    })
  }

  addStatic(mac: string, portReference: string): Promise<boolean> {
    return this.#inTurn(async () => {
      const address = parseMac(mac) as number
      const port = this.#portByReference(portReference)
      const holder = this.#holderOf(address)
      if (holder === port) return false
      if (holder !== undefined)
        throw new Refused('address-taken', `${mac} is bound to ${holder.name}; delete it there first.`)
      const { settings } = port
      const { maxEntries } = this.#policyOf(port)
      if (settings.staticAddresses.length >= maxEntries) {
        throw new Refused('limit-reached', `${port.name} may have ${maxEntries} addresses and has as many static ones.`)
      }
      await this.#set(port, { ...settings, staticAddresses: [...settings.staticAddresses, address] })
      this.#parts.bus.emit({ type: 'fdb-changed', mac, port: port.name })
      return true
    })
  }

  removeEntry(mac: string): Promise<void> {
    return this.#inTurn(async () => {
      const address = parseMac(mac) as number
      const holder = this.#holderOf(address)
      if (holder !== undefined) {
        const { settings } = holder
        const staticAddresses = settings.staticAddresses.filter(other => other !== address)
        await this.#set(holder, { ...settings, staticAddresses })
      } else if ((await this.#parts.fdb.find(address)) !== undefined) {
        await this.#parts.dataPlane.command({ type: 'forget', mac: address })
      } else throw new Refused('no-such-entry', `${mac} is not in the filtering database.`)
      this.#parts.bus.emit({ type: 'fdb-changed', mac, port: holder?.name ?? null })
    })
  }

  flush(portReference: string | null): Promise<void> {
    return this.#inTurn(async () => {
      const port = portReference === null ? null : this.#portByReference(portReference)
      await this.#parts.dataPlane.command({ type: 'flush', port: port?.index ?? null })
      this.#parts.bus.emit({ type: 'fdb-changed', mac: null, port: port?.name ?? null })
    })
  }

  add(side: Side, entry: unknown): Promise<string> {
    return this.#inTurn(async () => {
      const config = this.#parts.config()
      const next = withEntry(config, side, entry, surroundings(config.file))
      requireAllowed(confinementFault(entry, config))
      const { name } = next[side][next[side].length - 1] as { name: string }
      const port = [...this.#parts.dataPlane.ports.values()].find(each => each.name === name)
      if (port !== undefined) throw new Refused('name-taken', `Port ${port.id} is called "${name}".`)
      await this.#parts.apply(next)
      this.#added.set(name, entry)
      return name
    })
  }

  remove(side: Side, name: string): Promise<void> {
    return this.#inTurn(async () => {
      this.#attachment(side, name)
      await this.#parts.apply(withoutEntry(this.#parts.config(), side, name))
      this.#added.delete(name)
    })
  }

  forwards(side: Side, name: string): readonly Forward[] {
    return this.#forwarding(side, name).forwards()
  }

  addForward(side: Side, name: string, forward: Forward): Promise<void> {
    return this.#inTurn(async () => {
      const forwarding = this.#forwarding(side, name)
      requireAllowed(forwardFault(forward.host, this.#parts.config()))
      const outside = this.#parts.sandbox.fault(usedByForward(forward))
      if (outside !== undefined) throw new OperatorError(outside)
      await forwarding.addForward(forward)
    })
  }

  removeForward(side: Side, name: string, { protocol, host }: Pick<Forward, 'protocol' | 'host'>): Promise<void> {
    return this.#inTurn(async () => {
      if (await this.#forwarding(side, name).removeForward({ protocol, host })) return
      throw new Refused('no-such-forward', `"${name}" does not forward ${protocol} from ${host}.`)
    })
  }

  save(): Promise<SaveReport> {
    return this.#inTurn(() => this.#parts.save(this.#added))
  }

  #inTurn<Result>(task: () => Promise<Result>): Promise<Result> {
    return this.#parts.inTurn(async () => {
      try {
        return await task()
      } catch (error) {
        if (!(error instanceof DataPlaneEnded)) throw error
        const message =
          'The data plane ended before it answered, and is being replaced; look at what holds, and try again.'
        throw new Refused('interrupted', message)
      }
    })
  }

  #settingsFor(port: PortRecord, change: PortChange): PortSettings {
    const { config } = this.#parts
    const policy: Partial<EgressPolicy> = { ...port.settings.policy }
    for (const key of ['maxFrameSize', 'isolated', 'queueFrames', 'maxEntries', 'mirrors'] as const) {
      const value = change[key]
      if (value === undefined) continue
      if (value === null) delete policy[key]
      else Object.assign(policy, { [key]: value })
    }
    const limits = config().switch
    const problems = [
      ...tooMuch('maxFrameSize', change.maxFrameSize, 'switch.maxFrameSize', limits.maxFrameSize),
      ...tooMuch('maxEntries', change.maxEntries, 'switch.fdb.maxEntries', limits.fdb.maxEntries),
    ]
    const statics = port.settings.staticAddresses.length
    if (typeof change.maxEntries === 'number' && change.maxEntries < statics) {
      problems.push({
        path: 'maxEntries',
        message: `${change.maxEntries} is less than the ${statics} static addresses of this port`,
      })
    }
    if (problems.length > 0) throw new ConfigError(problems)
    return { ...port.settings, policy, enabled: change.enabled ?? port.settings.enabled }
  }

  #nameFor(port: PortRecord, name: string | null | undefined): string {
    if (name === undefined) return port.name
    const wanted = name ?? port.givenName
    if (wanted === port.givenName) return wanted
    const other = [...this.#parts.dataPlane.ports.values()].find(
      each => each !== port && (each.name === wanted || each.givenName === wanted),
    )
    if (other !== undefined) throw new Refused('name-taken', `Port ${other.id} is called "${wanted}".`)
    if (this.#parts.attachments.get(wanted) !== undefined) {
      throw new Refused('name-taken', `"${wanted}" is the name of a transport or interface.`)
    }
    return wanted
  }

  async #set(port: PortRecord, settings: PortSettings): Promise<void> {
    try {
      await this.#parts.dataPlane.setPort(port, settings)
    } catch (error) {
      if (!(error instanceof CommandRefused)) throw error
      throw new Refused('limit-reached', `Not possible on ${port.name}: ${error.message}.`)
    }
  }

  #policyOf(port: PortRecord): EgressPolicy {
    return effectivePolicy(port, this.#parts.attachments.get(port.endpoint))
  }

  #portById(id: number): PortRecord {
    for (const port of this.#parts.dataPlane.ports.values()) if (port.id === id) return port
    throw new Refused('no-such-port', `There is no port with id ${id}.`)
  }

  #portByReference(reference: string): PortRecord {
    for (const port of this.#parts.dataPlane.ports.values()) {
      if (port.name === reference || String(port.id) === reference) return port
    }
    throw new Refused('no-such-port', `There is no port with the id or name "${reference}".`)
  }

  #holderOf(mac: number): PortRecord | undefined {
    for (const port of this.#parts.dataPlane.ports.values())
      if (port.settings.staticAddresses.includes(mac)) return port
    return undefined
  }

  #attachment(side: Side, name: string): Attachment {
    const attachment = this.#parts.attachments.get(name)
    if (attachment?.side === side) return attachment
    throw side === 'interfaces'
      ? new Refused('no-such-interface', `There is no interface "${name}".`)
      : new Refused('no-such-transport', `There is no transport "${name}".`)
  }

  #forwarding(side: Side, name: string): Required<Pick<Transport, 'forwards' | 'addForward' | 'removeForward'>> {
    const { transport } = this.#attachment(side, name)
    if (transport.forwards === undefined || !transport.addForward || !transport.removeForward) {
      throw new Refused('no-forwards', `"${name}" (${transport.config.type}) has no port forwards.`)
    }
    return transport as Required<typeof transport>
  }
}

function requireAllowed(fault: string | undefined): void {
  if (fault !== undefined) throw new Refused('confined', `${fault}.`)
}

function tooMuch(path: string, value: number | null | undefined, limitName: string, limit: number) {
  if (typeof value !== 'number' || value <= limit) return []
  return [{ path, message: `${value} is more than ${limitName}, which is ${limit}` }]
}
