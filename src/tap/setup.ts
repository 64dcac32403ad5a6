/**
 * A TAP with all that its mode adds, made in order and taken down in the opposite one.
 *
 *     all        attach, MAC, MTU
 *     host       address, up, [dnsmasq]
 *     shared     address, forwarding, packet filter and NAT, up, dnsmasq
 *     bridged    [make the bridge,] join it, no IPv6 on the TAP, up
 *
 * "Up" is late, so that nothing passes before the packet filter is in place, and nothing once it is taken away. Each
 * step that would outlive us is in the journal before it is done. A step that fails takes the ones before it back. On a
 * TAP that was there before we put back what we changed, unless it is configured to stay as it is set up
 * (`persistent`).
 *
 * In mode `bridged` the TAP is a port, and the bridge is who speaks: without IPv6 on the TAP the kernel sends nothing
 * through it that no station sent.
 */
import type { TapConfig } from '../config/interfaces/tap.js'
import { OperatorError } from '../errors.js'
import { formatIpv4 } from '../wire/ip-address.js'
import { type Ipv4Interface, parseIpv4Interface } from '../wire/ipv4-network.js'
import { TapDevice } from './device.js'
import { Dnsmasq, type DnsmasqListener } from './dnsmasq.js'
import type { UndoJournal } from './journal.js'
import { madeUpMac } from './mac.js'
import { namespaceIdentity } from './namespace.js'
import { loadRules, natRules, tableName } from './nat.js'
import { addAddress, findBridge, hasAddress, joinBridge, makeBridge } from './network.js'
import { processIdentity } from './process-identity.js'
import { type Program, ProgramError, requirePrograms } from './programs.js'
import { recordsFolder } from './records.js'
import { FORWARDING, forwardingSettings, readSettings, writeSetting } from './sysctl.js'
import { findLink, type UndoStep } from './undo.js'

export interface SetupParts {
  readonly config: TapConfig
  readonly runtimeDir: string
  readonly journal: UndoJournal
  readonly dnsmasq: DnsmasqListener
}

/** A step of the journal without what all steps of one TAP have in common. */
type Step<Each = UndoStep> = Each extends UndoStep ? Omit<Each, 'netns' | 'namespace'> : never

export class TapSetup {
  readonly device: TapDevice
  mac = ''
  mtu = 0
  dnsmasq: Dnsmasq | null = null
  readonly #parts: SetupParts
  readonly #namespace: string
  /** What takes each step back, and whether it is left as it is on a TAP that stays. */
  readonly #undo: { readonly stays: boolean; readonly act: () => void | Promise<void> }[] = []
  #complete = false
  #closed: Promise<void> | null = null

  /** Throws OperatorError; nothing is left behind then. */
  static async open(parts: SetupParts): Promise<TapSetup> {
    const { config } = parts
    requirePrograms(programsOf(config), `mode: ${config.mode}`)
    const setup = new TapSetup(parts, TapDevice.open(config.device, config.netns))
    try {
      await setup.#build()
      return setup
    } catch (error) {
      await setup.close()
      throw inOperatorsWords(error)
    }
  }

  private constructor(parts: SetupParts, device: TapDevice) {
    this.#parts = parts
    this.device = device
    this.#namespace = namespaceIdentity(parts.config.netns) ?? ''
    this.#onClose(() => device.close())
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#unwind()
    return this.#closed
  }

  async #unwind(): Promise<void> {
    const leave = this.#complete && this.#parts.config.persistent
    for (const { stays, act } of this.#undo.toReversed()) if (!(stays && leave)) await act()
  }

  async #build(): Promise<void> {
    const { config } = this.#parts
    const { device } = this
    if (config.persistent && !device.persistent) {
      device.persist(config.owner)
      this.#onClose(() => device.unpersist(), true)
    }
    this.#settings()
    if (config.mode === 'bridged') await this.#bridge(config.bridge as string)
    if (config.address !== null) await this.#address(config.address)
    if (config.mode === 'shared') {
      await this.#forwarding()
      await this.#nat(parseIpv4Interface(config.address as string) as Ipv4Interface)
    }
    device.bringUp()
    // A TAP that does not stay is gone with this, before the packet filter is.
    this.#onClose(() => device.close())
    Object.assign(this, { mac: device.settings.mac, mtu: device.settings.mtu })
    if (config.dhcp !== null) await this.#serveAddresses()
    this.#complete = true
  }

  #settings(): void {
    const { config, runtimeDir } = this.#parts
    const { before, name, index } = this.device
    const mac = config.mac ?? (before === null ? madeUpMac(runtimeDir, config.name, config.netns ?? '') : before.mac)
    if (before !== null && !config.persistent) {
      const changed = [
        ...(mac === before.mac ? [] : ['address', before.mac]),
        ...(config.mtu === null || config.mtu === before.mtu ? [] : ['mtu', String(before.mtu)]),
        ...(before.up ? [] : ['down']),
      ]
      if (changed.length > 0) {
        requirePrograms(['ip'], `changing "${name}"`)
        this.#note({ kind: 'link', device: name, index, before: changed })
      }
    }
    this.device.setMac(mac)
    if (config.mtu !== null) this.device.setMtu(config.mtu)
  }

  async #bridge(bridge: string): Promise<void> {
    const { config, journal, runtimeDir } = this.#parts
    const { netns } = config
    if (config.createBridge) {
      const key = `bridge ${bridge} in ${this.#namespace}`
      await journal.hold(key, async () => {
        if ((await findBridge(netns, bridge)) !== undefined) return null
        const mac = madeUpMac(runtimeDir, 'bridge', bridge, netns ?? '')
        const step = this.#step({ kind: 'bridge', bridge, mac })
        journal.add(step)
        await makeBridge(netns, bridge, mac).catch(async error => {
          await journal.takeBack(step)
          throw error
        })
        return step
      })
      this.#onClose(() => journal.release(key), true)
    } else if ((await findBridge(netns, bridge)) === undefined) {
      const advice = `make it (ip link add name ${bridge} type bridge), or set createBridge: true`
      throw new OperatorError(`"${bridge}" does not exist; ${advice}`, { path: 'bridge', value: bridge })
    }
    await this.#join(bridge)
  }

  async #join(bridge: string): Promise<void> {
    const { netns, persistent } = this.#parts.config
    const { name, index, before } = this.device
    const outlivesUs = before !== null && !persistent
    const master = (await findLink(netns, name))?.master ?? null
    if (master === bridge) return
    if (master !== null) {
      throw new OperatorError(`"${name}" is a port of ${master} already`, { path: 'bridge', value: bridge })
    }
    const setting = `ipv6/conf/${name}/disable_ipv6`
    const settings = readSettings(netns, [setting])
    // Absent where the kernel has no IPv6.
    if (settings[setting] === '0') {
      if (outlivesUs) this.#note({ kind: 'setting', name: setting, value: '1', before: settings })
      writeSetting(netns, setting, '1')
    }
    if (outlivesUs) this.#note({ kind: 'link', device: name, index, before: ['nomaster'] })
    await joinBridge(netns, name, bridge)
  }

  async #address(address: string): Promise<void> {
    const { netns, persistent } = this.#parts.config
    const { name, index, before } = this.device
    if (await hasAddress(netns, name, parseIpv4Interface(address) as Ipv4Interface)) return
    if (before !== null && !persistent) this.#note({ kind: 'address', device: name, index, address })
    await addAddress(netns, name, address)
  }

  async #forwarding(): Promise<void> {
    const { config, journal } = this.#parts
    const { netns } = config
    const key = `forwarding in ${this.#namespace}`
    await journal.hold(key, async () => {
      const before = forwardingSettings(netns)
      if (before[FORWARDING] === '1') return null
      const step = this.#step({ kind: 'setting', name: FORWARDING, value: '1', before })
      journal.add(step)
      try {
        writeSetting(netns, FORWARDING, '1')
      } catch (error) {
        journal.forget(step)
        throw new OperatorError(`net.ipv4.ip_forward cannot be set: ${(error as Error).message}`, { cause: error })
      }
      return step
    })
    this.#onClose(() => journal.release(key))
  }

  async #nat(network: Ipv4Interface): Promise<void> {
    const { name } = this.device
    const { pid, startTime } = processIdentity(process.pid) ?? { pid: process.pid, startTime: '' }
    const comment = `made by tapswitch, process ${pid}, started ${startTime}`
    this.#note({ kind: 'table', table: tableName(name), comment })
    await loadRules(this.#parts.config.netns, natRules(name, network, comment))
  }

  async #serveAddresses(): Promise<void> {
    const { config, runtimeDir, dnsmasq } = this.#parts
    const { address, prefixLength } = parseIpv4Interface(config.address as string) as Ipv4Interface
    const server = await Dnsmasq.start(
      {
        ...(config.dhcp as NonNullable<TapConfig['dhcp']>),
        device: this.device.name,
        netns: config.netns,
        address: formatIpv4(address),
        prefixLength,
        shared: config.mode === 'shared',
        mtu: this.mtu,
        records: recordsFolder(runtimeDir),
        leaseFile: `tap-${config.name}.leases`,
      },
      dnsmasq,
    )
    this.dnsmasq = server
    this.#onClose(() => server.stop())
  }

  #step(step: Step): UndoStep {
    return { ...step, netns: this.#parts.config.netns, namespace: this.#namespace }
  }

  /** Writes the step into the journal; it is taken back on closing. */
  #note(what: Step): void {
    const step = this.#step(what)
    this.#parts.journal.add(step)
    this.#onClose(() => this.#parts.journal.takeBack(step))
  }

  #onClose(act: () => void | Promise<void>, stays = false): void {
    this.#undo.push({ stays, act })
  }
}

function programsOf({ mode, address, dhcp }: TapConfig): Program[] {
  return [
    ...(mode === 'bridged' || address !== null ? (['ip'] as const) : []),
    ...(mode === 'shared' ? (['nft'] as const) : []),
    ...(dhcp === null ? [] : (['dnsmasq', 'setpriv'] as const)),
  ]
}

function inOperatorsWords(error: unknown): unknown {
  if (!(error instanceof ProgramError)) return error
  const why = /not permitted|permission denied/i.test(error.said)
    ? 'needs root (CAP_NET_ADMIN)'
    : `failed: ${error.said}`
  return new OperatorError(`${error.command} ${why}`, { cause: error })
}
