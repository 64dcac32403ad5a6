/**
 * Options of a vmnet interface: a plain object, or made step by step:
 *
 *     vmnet.shared().withDhcpRange('192.168.70.1', '192.168.70.254', '255.255.255.0').withIsolation()
 *     vmnet.bridged('en0')
 *     { mode: 'host', mtu: 9000 }
 *
 * Steps return a new object and check nothing; `vmnetProblems` and `VmnetInterface.start` look at the whole.
 */
import type { VmnetMode, VmnetOptions, VmnetReservation } from '../config/interfaces/vmnet-rules.js'

export {
  type VmnetMode,
  type VmnetOptions,
  type VmnetReservation,
  vmnetProblems,
} from '../config/interfaces/vmnet-rules.js'

export const vmnetDefaults = {
  mode: 'shared',
  isolated: false,
  enableTso: false,
  enableChecksumOffload: false,
  api: 'auto',
} as const

/** MTU where none is asked for. */
export const DEFAULT_MTU = 1500

export class VmnetBuilder implements VmnetOptions {
  readonly mode: VmnetMode
  readonly mac?: string
  readonly mtu?: number
  readonly bridgeInterface?: string
  readonly dhcpStart?: string
  readonly dhcpEnd?: string
  readonly subnetMask?: string
  readonly dhcp?: boolean
  readonly reservations?: readonly VmnetReservation[]
  readonly externalInterface?: string
  readonly isolated?: boolean
  readonly interfaceId?: string
  readonly networkId?: string
  readonly hostAddress?: string
  readonly nat66Prefix?: string
  readonly enableTso?: boolean
  readonly enableChecksumOffload?: boolean
  readonly api?: 'auto' | 'classic'

  constructor(options: VmnetOptions = {}) {
    this.mode = options.mode ?? vmnetDefaults.mode
    Object.assign(this, options)
  }

  with(options: Partial<VmnetOptions>): VmnetBuilder {
    return new VmnetBuilder({ ...this, ...options })
  }

  withMac(mac: string): VmnetBuilder {
    return this.with({ mac })
  }

  withMtu(mtu: number): VmnetBuilder {
    return this.with({ mtu })
  }

  /** `start` is the host's own address; DHCP serves from the one after it up to `end`. */
  withDhcpRange(start: string, end: string, mask?: string): VmnetBuilder {
    return this.with({ dhcpStart: start, dhcpEnd: end, ...(mask === undefined ? {} : { subnetMask: mask }) })
  }

  withSubnetMask(subnetMask: string): VmnetBuilder {
    return this.with({ subnetMask })
  }

  withIsolation(isolated = true): VmnetBuilder {
    return this.with({ isolated })
  }

  withInterfaceId(interfaceId: string): VmnetBuilder {
    return this.with({ interfaceId })
  }

  withNat66Prefix(nat66Prefix: string): VmnetBuilder {
    return this.with({ nat66Prefix })
  }
}

export const shared = (): VmnetBuilder => new VmnetBuilder({ mode: 'shared' })
export const host = (): VmnetBuilder => new VmnetBuilder({ mode: 'host' })
export const bridged = (bridgeInterface: string): VmnetBuilder => new VmnetBuilder({ mode: 'bridged', bridgeInterface })
