/** IP addresses of either family as bytes in network order, 4 or 16 of them, and which address lies in which prefix. */
import { formatIpv6, parseIpv4, parseIpv6 } from './ip-address.js'

export interface IpPrefix {
  readonly bytes: Uint8Array
  /** Bits, 0 to 32 or 128. */
  readonly length: number
}

/** The bytes of an address without zone, or undefined when it is none. */
export function parseIp(text: string): Uint8Array | undefined {
  if (text.includes(':')) return parseIpv6(text)
  const address = parseIpv4(text)
  return address === undefined ? undefined : Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address)
}

export function formatIp(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join('.') : formatIpv6(bytes)
}

/** `10.0.0.0/8`, or an address alone for itself. Bits beyond the prefix must be zero. */
export function parseIpPrefix(text: string): IpPrefix | undefined {
  const match = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text)
  const bytes = match === null ? undefined : parseIp(match[1])
  if (match === null || bytes === undefined) return undefined
  const length = match[2] === undefined ? bytes.length * 8 : Number(match[2])
  if (length > bytes.length * 8) return undefined
  return bytes.every((octet, i) => (octet & ~maskOctet(length, i)) === 0) ? { bytes, length } : undefined
}

/** Whether the address, in `bytes` from `offset` on, lies in the prefix. The address must be of the prefix's family. */
export function inIpPrefix(prefix: IpPrefix, bytes: Uint8Array, offset = 0): boolean {
  for (let i = 0; i * 8 < prefix.length; i++) {
    if ((bytes[offset + i] & maskOctet(prefix.length, i)) !== prefix.bytes[i]) return false
  }
  return true
}

export function isMulticastIp(bytes: Uint8Array): boolean {
  return bytes.length === 4 ? bytes[0] >> 4 === 14 : bytes[0] === 0xff
}

/** 0.0.0.0 or ::, which stand for every address of a machine. */
export function isUnspecifiedIp(bytes: Uint8Array): boolean {
  return bytes.every(octet => octet === 0)
}

/** Of octet `i`, the bits that belong to a prefix of this length. */
function maskOctet(length: number, i: number): number {
  return (0xff00 >> Math.min(8, Math.max(0, length - i * 8))) & 0xff
}
