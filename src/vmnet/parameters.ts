/** What vmnet tells of an interface that has started, and what may be sent through it at once. */

import type { VmnetLibrary } from './library.js'
import { DEFAULT_MTU, type VmnetOptions } from './options.js'
import { XpcReader } from './xpc.js'

/**
 * Apple's documentation of vmnet: up to 200 packets and 256 KB for each read or write. From macOS 15 on the handler
 * says how many.
 */
const PACKETS = 200
export const BATCH_BYTES = 256 * 1024
const HEADER = 14

export interface VmnetParameters {
  /** Lower case with colons; null when vmnet gave none and none was asked for. */
  readonly mac: string | null
  /** Bytes of an IP packet. */
  readonly mtu: number
  /** Bytes of a frame, header included. */
  readonly maxPacketSize: number
  /** Frames for one call. */
  readonly readMaxPackets: number
  readonly writeMaxPackets: number
  readonly interfaceId: string | null
  /** The host's own address, the end of the DHCP range and the mask; null in bridged mode. */
  readonly startAddress: string | null
  readonly endAddress: string | null
  readonly subnetMask: string | null
  readonly nat66Prefix: string | null
}

/** Only inside the start handler, while its dictionary is there. `asked` fills in what older systems leave out. */
export function readParameters(library: VmnetLibrary, dictionary: number, asked: VmnetOptions): VmnetParameters {
  const reader = new XpcReader(library, dictionary)
  const mtu = reader.uint64('mtu') ?? asked.mtu ?? DEFAULT_MTU
  return {
    mac: (asked.mac ?? reader.string('mac_address'))?.toLowerCase().replaceAll('-', ':') ?? null,
    mtu,
    maxPacketSize: reader.uint64('max_packet_size') ?? mtu + HEADER,
    readMaxPackets: Math.max(1, reader.uint64('read_max_packets') ?? PACKETS),
    writeMaxPackets: Math.max(1, reader.uint64('write_max_packets') ?? PACKETS),
    interfaceId: reader.uuid('interface_id') ?? null,
    startAddress: reader.string('start_address') ?? null,
    endAddress: reader.string('end_address') ?? null,
    subnetMask: reader.string('subnet_mask') ?? null,
    nat66Prefix: reader.string('nat66_prefix') ?? null,
  }
}

/** How many frames of the greatest size one call may carry; at least one. */
export function batchLimit(maxPackets: number, maxPacketSize: number): number {
  return Math.max(1, Math.min(maxPackets, Math.floor(BATCH_BYTES / maxPacketSize)))
}
