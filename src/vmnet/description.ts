/** From options to the dictionary that vmnet_start_interface takes, and to the mode's number. */
import { randomUUID } from 'node:crypto'
import { formatIpv4 } from '../wire/ip-address.js'
import { netmask, parseIpv4Interface } from '../wire/ipv4-network.js'
import type { VmnetLibrary } from './library.js'
import type { VmnetMode, VmnetOptions } from './options.js'
import { XpcDictionary } from './xpc.js'

/** operating_modes_t. Host is 1000 and shared 1001, not the other way round. */
export const modeNumber: Record<VmnetMode, number> = { host: 1000, shared: 1001, bridged: 1002 }

/** Everything in one dictionary. The caller releases it. */
export function classicDescription(library: VmnetLibrary, options: VmnetOptions): XpcDictionary {
  const { mode = 'shared', isolated = false, hostAddress } = options
  return describe(library, options, dictionary => {
    dictionary.uint64('operation_mode', modeNumber[mode])
    if (mode === 'bridged') dictionary.string('shared_interface_name', options.bridgeInterface as string)
    if (options.mtu !== undefined) dictionary.uint64('mtu', options.mtu)
    if (options.dhcpStart !== undefined) {
      dictionary.string('start_address', options.dhcpStart)
      dictionary.string('end_address', options.dhcpEnd as string)
      dictionary.string('subnet_mask', options.subnetMask as string)
    }
    if (options.nat66Prefix !== undefined) dictionary.string('nat66_prefix', options.nat66Prefix)
    // An isolated interface that shared its id with another would be handed that one's MAC address.
    const id = options.interfaceId ?? (isolated ? randomUUID() : undefined)
    if (id !== undefined) dictionary.uuid('interface_id', id)
    if (options.networkId !== undefined) dictionary.uuid('network_identifier', options.networkId)
    if (hostAddress !== undefined) {
      const { address, prefixLength } = parseIpv4Interface(hostAddress) as NonNullable<
        ReturnType<typeof parseIpv4Interface>
      >
      dictionary.string('host_ip_address', formatIpv4(address))
      dictionary.string('host_subnet_mask', formatIpv4(netmask(prefixLength)))
    }
  })
}

/** What an interface on a network object still says itself; the rest is the network's. The caller releases it. */
export function networkDescription(library: VmnetLibrary, options: VmnetOptions): XpcDictionary {
  return describe(library, options, () => {})
}

function describe(
  library: VmnetLibrary,
  { mac, isolated, enableTso, enableChecksumOffload }: VmnetOptions,
  more: (dictionary: XpcDictionary) => void,
): XpcDictionary {
  const dictionary = new XpcDictionary(library)
  try {
    more(dictionary)
    if (mac !== undefined) dictionary.bool('allocate_mac_address', false)
    if (isolated === true) dictionary.bool('enable_isolation', true)
    if (enableTso === true) dictionary.bool('enable_tso', true)
    if (enableChecksumOffload === true) dictionary.bool('enable_checksum_offload', true)
    return dictionary
  } catch (error) {
    dictionary.release()
    throw error
  }
}
