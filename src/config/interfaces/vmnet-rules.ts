/**
 * What fits together in the options of a vmnet interface. Asked by the configuration when a file is loaded, and by
 * `VmnetInterface` before it calls anything: vmnet itself answers most of these mistakes with FAILURE and nothing else.
 * Sources: vmnet.h of the macOS 26.1 SDK.
 */
import type { Problem } from '../../errors.js'
import { highOf, isStation, lowOf, parseMac } from '../../wire/ethernet.js'
import { isPrivateIpv4, parseIpv4, parseIpv6, prefixLength } from '../../wire/ip-address.js'
import { parseIpv4Interface } from '../../wire/ipv4-network.js'
import { type Forward, parseForwardEnd } from '../forwards.js'
import { valueText } from '../messages.js'

export const vmnetModes = ['shared', 'host', 'bridged'] as const
/**
 * shared: NAT to the outside. host: the Mac and the guests alone. bridged: guests are stations of the Mac's own
 * network.
 */
export type VmnetMode = (typeof vmnetModes)[number]

export interface VmnetReservation {
  readonly mac: string
  /** IPv4, inside the DHCP range. */
  readonly address: string
}

export interface VmnetOptions {
  /** @default 'shared' */
  readonly mode?: VmnetMode | undefined
  /**
   * The address this side of the interface goes by, instead of one that vmnet makes up. It is reported as `mac`; vmnet
   * lets frames of any source through, and several stations may live behind one interface.
   */
  readonly mac?: string | undefined
  /** Bytes of an IP packet; not in bridged mode, where the bridge decides. vmnet's own default is 1500. */
  readonly mtu?: number | undefined
  /** Interface of the Mac that bridged mode joins, e.g. `en0`. */
  readonly bridgeInterface?: string | undefined
  /**
   * The host's own address; DHCP serves from the one after it. The three go together; without them vmnet takes a free
   * subnet.
   */
  readonly dhcpStart?: string | undefined
  readonly dhcpEnd?: string | undefined
  readonly subnetMask?: string | undefined
  /** False turns vmnet's DHCP server off; macOS 26. @default true */
  readonly dhcp?: boolean | undefined
  /** Addresses that DHCP keeps for one station each; macOS 26. */
  readonly reservations?: readonly VmnetReservation[] | undefined
  /**
   * Interface of the Mac through which shared mode reaches the outside; macOS 26. Default: that of the default route.
   */
  readonly externalInterface?: string | undefined
  /** Keeps vmnet interfaces apart from each other; this one gets an id of its own. @default false */
  readonly isolated?: boolean | undefined
  /** UUID; with the same one vmnet hands out the same MAC address again. */
  readonly interfaceId?: string | undefined
  /** UUID of a network in host mode that only interfaces with the same id join; without DHCP. */
  readonly networkId?: string | undefined
  /** Address and prefix length of the Mac in such a network, e.g. `10.9.0.1/24`. */
  readonly hostAddress?: string | undefined
  /** Unique local prefix of 64 bits for shared mode, e.g. `fd12:3456:789a:1::`. */
  readonly nat66Prefix?: string | undefined
  /** Segments of up to 64 KiB instead of frames; without checksums, so not for a switch. @default false */
  readonly enableTso?: boolean | undefined
  /** @default false */
  readonly enableChecksumOffload?: boolean | undefined
  /** `auto`: the network objects of macOS 26 where they exist and can say all that is asked for. @default 'auto' */
  readonly api?: 'auto' | 'classic' | undefined
}

type Name = keyof VmnetOptions

/** Where an option has no meaning, by mode; the sentence says where it has one. */
const wrongMode: Partial<Record<Name, { modes: readonly VmnetMode[]; only: string }>> = {
  bridgeInterface: { modes: ['bridged'], only: 'only with mode: bridged' },
  mtu: { modes: ['shared', 'host'], only: 'not with mode: bridged, where the bridge has one MTU for all' },
  dhcpStart: {
    modes: ['shared', 'host'],
    only: 'not with mode: bridged, whose addresses come from the network it joins',
  },
  dhcpEnd: {
    modes: ['shared', 'host'],
    only: 'not with mode: bridged, whose addresses come from the network it joins',
  },
  subnetMask: {
    modes: ['shared', 'host'],
    only: 'not with mode: bridged, whose addresses come from the network it joins',
  },
  dhcp: { modes: ['shared', 'host'], only: 'not with mode: bridged, where vmnet runs no DHCP server' },
  reservations: { modes: ['shared', 'host'], only: 'not with mode: bridged, where vmnet runs no DHCP server' },
  externalInterface: { modes: ['shared'], only: 'only with mode: shared' },
  nat66Prefix: { modes: ['shared'], only: 'only with mode: shared' },
  networkId: { modes: ['host'], only: 'only with mode: host' },
  hostAddress: { modes: ['host'], only: 'only with mode: host' },
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** IFNAMSIZ of macOS is 16 with its NUL. */
const INTERFACE = /^[A-Za-z][A-Za-z0-9._-]{0,14}$/
const range = ['dhcpStart', 'dhcpEnd', 'subnetMask'] as const

/** Everything that is wrong; `path` of a problem is the name of the option. Empty when the options are good. */
export function vmnetProblems(options: VmnetOptions): Problem[] {
  const problems: Problem[] = []
  const add = (path: string, message: string) => problems.push({ path, message })
  const { mode = 'shared' } = options
  if (!vmnetModes.includes(mode)) {
    add('mode', `${valueText(mode)} is not one of ${vmnetModes.map(valueText).join(', ')}`)
    return problems
  }
  for (const [name, rule] of Object.entries(wrongMode) as [Name, { modes: readonly VmnetMode[]; only: string }][]) {
    const value = options[name]
    if (value === undefined || rule.modes.includes(mode)) continue
    // What a file that says nothing gets is no mistake.
    if ((name === 'dhcp' && value === true) || (Array.isArray(value) && value.length === 0)) continue
    add(name, `${valueText(value)} is ${rule.only}`)
  }
  if (mode === 'bridged' && options.bridgeInterface === undefined) {
    add(
      'bridgeInterface',
      'missing, must be the interface of this machine to join, such as "en0" (tapswitch doctor lists them)',
    )
  }
  checkForms(options, add)
  if (mode !== 'bridged') checkRange(options, add)
  checkNetwork(options, add)
  checkReservations(options, add)
  return problems
}

type Add = (path: string, message: string) => void

function checkForms(options: VmnetOptions, add: Add): void {
  const { mac, mtu, nat66Prefix } = options
  if (mac !== undefined && !isStationAddress(mac)) add('mac', `${valueText(mac)} is not the MAC address of a station`)
  if (mtu !== undefined && !(Number.isInteger(mtu) && mtu >= 68 && mtu <= 65_521)) {
    add('mtu', `${valueText(mtu)} is not a whole number from 68 to 65521`)
  }
  for (const name of ['bridgeInterface', 'externalInterface'] as const) {
    const value = options[name]
    if (value !== undefined && !INTERFACE.test(value)) add(name, `${valueText(value)} is not the name of an interface`)
  }
  for (const name of ['interfaceId', 'networkId'] as const) {
    const value = options[name]
    if (value !== undefined && !UUID.test(value)) add(name, `${valueText(value)} is not a UUID`)
  }
  if (nat66Prefix !== undefined && !isUniqueLocalPrefix(nat66Prefix)) {
    add('nat66Prefix', `${valueText(nat66Prefix)} is not a unique local prefix of 64 bits such as "fd12:3456:789a:1::"`)
  }
}

function checkRange(options: VmnetOptions, add: Add): void {
  const given = range.filter(name => options[name] !== undefined)
  if (given.length === 0) return
  if (given.length < range.length) {
    for (const name of range.filter(name => options[name] === undefined)) {
      add(name, `missing, must be given together with ${given.join(' and ')}`)
    }
    return
  }
  const [start, end, mask] = range.map(name => {
    const text = options[name] as string
    const address = parseIpv4(text)
    if (address === undefined) add(name, `${valueText(text)} is not an IPv4 address`)
    return address
  })
  if (start === undefined || end === undefined || mask === undefined) return
  const prefix = prefixLength(mask)
  if (prefix === undefined || prefix < 8 || prefix > 30) {
    add('subnetMask', `${valueText(options.subnetMask)} is not a netmask from 255.0.0.0 to 255.255.255.252`)
    return
  }
  for (const [name, address] of [
    ['dhcpStart', start],
    ['dhcpEnd', end],
  ] as const) {
    if (!isPrivateIpv4(address)) {
      add(
        name,
        `${valueText(options[name])} is not private: vmnet takes 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 only`,
      )
    } else if ((address & ~mask) === 0 || (address | mask) >>> 0 === 0xffffffff) {
      add(name, `${valueText(options[name])} is the subnet's own or its broadcast address`)
    }
  }
  if (((start ^ end) & mask) !== 0) {
    add(
      'dhcpEnd',
      `${valueText(options.dhcpEnd)} is not in the subnet of dhcpStart, which is ${options.dhcpStart}/${prefix}`,
    )
  } else if (end <= start) {
    add('dhcpEnd', `${valueText(options.dhcpEnd)} is not behind dhcpStart, which is ${options.dhcpStart}`)
  }
}

function checkNetwork(options: VmnetOptions, add: Add): void {
  const { networkId, hostAddress, reservations = [], api, dhcp } = options
  if (hostAddress !== undefined) {
    if (parseIpv4Interface(hostAddress) === undefined) {
      add(
        'hostAddress',
        `${valueText(hostAddress)} is not an IPv4 address with its prefix length, such as "10.9.0.1/24"`,
      )
    }
    if (networkId === undefined) add('networkId', 'missing, must be given together with hostAddress')
  }
  if (networkId !== undefined) {
    for (const name of range) {
      if (options[name] !== undefined)
        add(name, `${valueText(options[name])} is not together with networkId: such a network has no DHCP`)
    }
  }
  const needs = [
    ...(dhcp === false ? ['dhcp'] : []),
    ...(reservations.length > 0 ? ['reservations'] : []),
    ...(options.externalInterface === undefined ? [] : ['externalInterface']),
  ]
  if (needs.length === 0) return
  for (const name of ['interfaceId', 'networkId'] as const) {
    if (options[name] !== undefined)
      add(
        name,
        `${valueText(options[name])} is not together with ${needs.join(', ')}: vmnet knows it in its older calls only`,
      )
  }
  if (api === 'classic')
    add('api', `"classic" is not together with ${needs.join(', ')}, which only the network objects of macOS 26 have`)
}

function checkReservations(options: VmnetOptions, add: Add): void {
  const { reservations = [], dhcpStart = '', dhcpEnd = '' } = options
  const taken = new Map<string, string>()
  const [start, end] = [parseIpv4(dhcpStart), parseIpv4(dhcpEnd)]
  for (const [i, { mac, address }] of reservations.entries()) {
    const path = `reservations[${i}]`
    if (!isStationAddress(mac)) add(`${path}.mac`, `${valueText(mac)} is not the MAC address of a station`)
    const number = parseIpv4(address)
    if (number === undefined) add(`${path}.address`, `${valueText(address)} is not an IPv4 address`)
    else if (start === undefined || end === undefined)
      add(
        `${path}.address`,
        `${valueText(address)} is without meaning while vmnet chooses the subnet: give dhcpStart, dhcpEnd and subnetMask`,
      )
    else if (number <= start || number > end)
      add(
        `${path}.address`,
        `${valueText(address)} is not behind dhcpStart (${dhcpStart}) and up to dhcpEnd (${dhcpEnd})`,
      )
    for (const [name, value] of [
      ['mac', mac.toLowerCase().replaceAll('-', ':')],
      ['address', address],
    ] as const) {
      const first = taken.get(value)
      if (first === undefined) taken.set(value, `${path}.${name}`)
      else add(`${path}.${name}`, `${valueText(value)} is taken by ${first}`)
    }
  }
  if (options.dhcp === false && reservations.length > 0) add('reservations', 'a list is not together with dhcp: false')
}

/** Why vmnet cannot have this forward; undefined when it can. */
export function forwardProblem({ host, guest }: Pick<Forward, 'host'> & Partial<Forward>): string | undefined {
  const outside = parseForwardEnd(host)
  if (outside === undefined || outside.family === 'unix' || !/^(0\.0\.0\.0|::)$/.test(outside.address)) {
    return `${valueText(host)} is not "0.0.0.0:PORT" or "[::]:PORT": vmnet forwards from every address of the Mac`
  }
  if (guest === undefined) return undefined
  const inside = parseForwardEnd(guest)
  if (inside === undefined || inside.family === 'unix')
    return `${valueText(guest)} is not an address and port of a guest`
  if (inside.family !== outside.family) return `${valueText(guest)} is of another IP version than ${valueText(host)}`
  return undefined
}

function isStationAddress(text: string): boolean {
  const mac = parseMac(text)
  return mac !== undefined && isStation(highOf(mac), lowOf(mac))
}

function isUniqueLocalPrefix(text: string): boolean {
  const bytes = parseIpv6(text)
  return bytes !== undefined && bytes[0] === 0xfd && bytes.subarray(8).every(byte => byte === 0)
}
