/**
 * Network objects of macOS 26: shared and host networks made first, joined by an interface then. They can say what the
 * dictionary of older systems cannot (no DHCP, reservations, the external interface) and cannot say what it can (an
 * interface's or a network's id, a DHCP range that ends before the subnet does). Bridged mode has none.
 *
 * `planOf` chooses. Where both ways would do, the newer is taken, and given up for the older when making the network
 * fails: on macOS 27 vmnet_network_create was seen never to return (apple/container #2275), which is also why it runs
 * on another thread and against the clock.
 */

import { OperatorError } from '../errors.js'
import { NativeMemory } from '../os/native-memory.js'
import { parseMac } from '../wire/ethernet.js'
import { formatIpv4, parseIpv4, parseIpv6 } from '../wire/ip-address.js'
import { modeNumber } from './description.js'
import type { NetworkFunctions, VmnetLibrary } from './library.js'
import type { VmnetOptions } from './options.js'
import { check, Status, VmnetError } from './status.js'

export type Plan = 'classic' | 'network' | 'network-or-classic'

/** Throws OperatorError when the options need macOS 26 and this is an older one. */
export function planOf(options: VmnetOptions, hasNetworks: boolean): Plan {
  const needs = [
    ...(options.dhcp === false ? ['dhcp: false'] : []),
    ...((options.reservations ?? []).length > 0 ? ['reservations'] : []),
    ...(options.externalInterface === undefined ? [] : ['externalInterface']),
  ]
  if (needs.length > 0) {
    if (hasNetworks) return 'network'
    throw new OperatorError(`${needs.join(', ')}: needs macOS 26, whose vmnet has network objects`)
  }
  if (!hasNetworks || options.api === 'classic' || isClassicOnly(options)) return 'classic'
  return 'network-or-classic'
}

function isClassicOnly({
  mode,
  interfaceId,
  networkId,
  isolated,
  dhcpStart,
  dhcpEnd,
  subnetMask,
}: VmnetOptions): boolean {
  // Isolation was seen to have no effect between interfaces of a network object (macOS 27.0.1).
  if (mode === 'bridged' || isolated === true || interfaceId !== undefined || networkId !== undefined) return true
  return dhcpStart !== undefined && !spansSubnet(dhcpStart, dhcpEnd as string, subnetMask as string)
}

/** From the first address to the last but the broadcast address. */
function spansSubnet(start: string, end: string, mask: string): boolean {
  const [first, last, bits] = [start, end, mask].map(text => parseIpv4(text) as number)
  return (first & ~bits) >>> 0 === 1 && (last | bits) >>> 0 === 0xfffffffe
}

export interface VmnetNetwork {
  readonly address: number
  /** The host's address and the mask, for people. */
  readonly subnet: { readonly gateway: string; readonly mask: string }
  /** Idempotent. An interface that has joined keeps it alive by itself. */
  release(): void
}

/** Throws VmnetError, with nothing left behind; after a time-out the thread that waits for vmnet is. */
export async function createNetwork(
  library: VmnetLibrary,
  options: VmnetOptions,
  timeoutMs: number,
): Promise<VmnetNetwork> {
  const functions = library.network as NetworkFunctions
  const configuration = configure(library, functions, options)
  const address = await create(library, functions, configuration, timeoutMs)
  let released = false
  return {
    address,
    subnet: subnetOf(functions, address),
    release() {
      if (!released) library.cfRelease(address)
      released = true
    },
  }
}

function configure(library: VmnetLibrary, functions: NetworkFunctions, options: VmnetOptions): number {
  const status = new NativeMemory(8)
  const configuration = functions.configurationCreate(modeNumber[options.mode ?? 'shared'], status.address)
  if (configuration === 0) throw new VmnetError('make a network configuration', status.words[0])
  try {
    apply(functions, configuration, options)
    return configuration
  } catch (error) {
    library.cfRelease(configuration)
    throw error
  }
}

function apply(functions: NetworkFunctions, configuration: number, options: VmnetOptions): void {
  const memory = new NativeMemory(32)
  const { dhcpStart, subnetMask, nat66Prefix, mtu, externalInterface } = options
  if (dhcpStart !== undefined) {
    // The gateway, not the network's own address: with that one vmnet says SUCCESS here and FAILURE when the interface
    // starts.
    memory.bytes.set(octets(dhcpStart), 0)
    memory.bytes.set(octets(subnetMask as string), 8)
    check('set the subnet', functions.setIpv4Subnet(configuration, memory.address, memory.address + 8))
  }
  if (nat66Prefix !== undefined) {
    memory.bytes.set(parseIpv6(nat66Prefix) as Uint8Array, 0)
    check('set the IPv6 prefix', functions.setIpv6Prefix(configuration, memory.address, 64))
  }
  if (mtu !== undefined) check('set the MTU', functions.setMtu(configuration, mtu))
  if (externalInterface !== undefined) {
    check(
      `use ${externalInterface} as external interface`,
      functions.setExternalInterface(configuration, externalInterface),
    )
  }
  if (options.dhcp === false) functions.disableDhcp(configuration)
  for (const { mac, address } of options.reservations ?? []) {
    const number = parseMac(mac) as number
    memory.bytes.set(
      [40, 32, 24, 16, 8, 0].map(shift => Math.floor(number / 2 ** shift) & 255),
      0,
    )
    memory.bytes.set(octets(address), 8)
    check(`reserve ${address}`, functions.addDhcpReservation(configuration, memory.address, memory.address + 8))
  }
}

/** Consumes the configuration, which vmnet may be using as long as the call has not returned. */
function create(
  library: VmnetLibrary,
  functions: NetworkFunctions,
  configuration: number,
  timeoutMs: number,
): Promise<number> {
  const status = new NativeMemory(8)
  return new Promise((resolve, reject) => {
    let waiting = true
    const timer = setTimeout(() => {
      waiting = false
      reject(new VmnetError('make a network', 0, true))
    }, timeoutMs)
    functions.create.async(configuration, status.address, (error: Error | null, address: number) => {
      clearTimeout(timer)
      library.cfRelease(configuration)
      if (!waiting) {
        if (error === null && address !== 0) library.cfRelease(address)
      } else if (error !== null) reject(error)
      else if (address === 0) reject(new VmnetError('make a network', status.words[0] || Status.FAILURE))
      else resolve(address)
    })
  })
}

function subnetOf(functions: NetworkFunctions, network: number): VmnetNetwork['subnet'] {
  const memory = new NativeMemory(16)
  functions.getIpv4Subnet(network, memory.address, memory.address + 8)
  const view = new DataView(memory.buffer)
  return { gateway: formatIpv4(view.getUint32(0)), mask: formatIpv4(view.getUint32(8)) }
}

const octets = (address: string): number[] => address.split('.').map(Number)
