/**
 * Offsets, sizes and addresses of an Ethernet II frame without FCS (IEEE 802.3 clause 3.2).
 *
 * A MAC address has two forms. Text and the control plane use one 48-bit integer. The frame path uses two halves, the
 * high 16 bits and the low 32 as a *signed* integer, because V8 keeps 32-bit integers in registers and everything above
 * in heap numbers.
 */
export const HEADER_SIZE = 14
/**
 * Shortest thing that is a frame at all: destination, source, EtherType. Virtual ports neither pad nor need padding.
 */
export const MIN_FRAME_SIZE = HEADER_SIZE
export const DESTINATION = 0
export const SOURCE = 6
export const ETHER_TYPE = 12

// Not exported, so that V8 folds them in the functions below; it loads and checks an exported binding at every use.
/** I/G bit of the first octet, as it stands in the high 16 bits of an address. */
const GROUP_BIT = 0x0100
const BROADCAST_HIGH = 0xffff
const BROADCAST_LOW = -1
const RESERVED_HIGH = 0x0180
const RESERVED_LOW = 0xc2000000 | 0
const RESERVED_LOW_MASK = 0xfffffff0 | 0

const TWO_32 = 2 ** 32
const text = /^[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$/i
const hex = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, '0'))

/** First two octets of the address at `at`. */
export function macHigh(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}

/** Last four octets of the address at `at`, signed. */
export function macLow(bytes: Uint8Array, at: number): number {
  return (bytes[at + 2] << 24) | (bytes[at + 3] << 16) | (bytes[at + 4] << 8) | bytes[at + 5]
}

/** High 16 bits of a 48-bit integer address. */
export function highOf(mac: number): number {
  return Math.floor(mac / TWO_32)
}

/** Low 32 bits of a 48-bit integer address, signed. */
export function lowOf(mac: number): number {
  return mac | 0
}

/** 48-bit integer of two halves; bits of `high` above 16 (a VID) are left out. */
export function joinMac(high: number, low: number): number {
  return (high & 0xffff) * TWO_32 + (low >>> 0)
}

/** True for multicast and broadcast addresses: the I/G bit of the first octet is set. */
export function isGroup(high: number): boolean {
  return (high & GROUP_BIT) !== 0
}

export function isZero(high: number, low: number): boolean {
  return (high | low) === 0
}

export function isBroadcast(high: number, low: number): boolean {
  return low === BROADCAST_LOW && high === BROADCAST_HIGH
}

/**
 * True for 01:80:C2:00:00:00 to 0F, which no bridge relays (IEEE 802.1Q table 8-1: BPDU, PAUSE, slow protocols, 802.1X,
 * LLDP and so on).
 */
export function isReserved(high: number, low: number): boolean {
  return high === RESERVED_HIGH && (low & RESERVED_LOW_MASK) === RESERVED_LOW
}

/** True when a station may send from this address: neither group nor all zero. */
export function isStation(high: number, low: number): boolean {
  return !isGroup(high) && !isZero(high, low)
}

/** 48-bit integer of `02:00:00:00:00:01` or `02-00-00-00-00-01`, either case; undefined when it is neither. */
export function parseMac(mac: string): number | undefined {
  return text.test(mac) ? Number.parseInt(mac.replaceAll(/[:-]/g, ''), 16) : undefined
}

/** Lower case with colons; bits of `high` above 16 (a VID) are left out. */
export function formatMac(high: number, low: number): string {
  return `${hex[(high >>> 8) & 255]}:${hex[high & 255]}:${hex[low >>> 24]}:${hex[(low >>> 16) & 255]}:${hex[(low >>> 8) & 255]}:${hex[low & 255]}`
}

/** Bytes of a frame beyond its IP packet at most: the header with one VLAN tag. */
export const TAGGED_HEADER_BYTES = 18
