/** Named frames in hex, as they would be on the wire without FCS, and the stations they come from and go to. */
import { parseMac } from '#src/wire/ethernet.js'

export const ALICE = '02:00:00:00:00:0a'
export const BOB = '02:00:00:00:00:0b'
export const CAROL = '02:00:00:00:00:0c'
export const BROADCAST = 'ff:ff:ff:ff:ff:ff'
export const ZERO = '00:00:00:00:00:00'

/** Bytes of hex digits; white space is for the eye. */
export function bytesOf(hex: string): Uint8Array {
  const digits = hex.replaceAll(/\s/g, '')
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hex: ${hex}`)
  return Uint8Array.from(digits.match(/../g) ?? [], octet => Number.parseInt(octet, 16))
}

/** Alice asks everyone who has 10.0.0.11. 42 bytes: neither QEMU nor Linux guests pad. */
export const arpRequest = bytesOf(`
  ffffffffffff 02000000000a 0806
  0001 0800 06 04 0001  02000000000a 0a00000a  000000000000 0a00000b`)

/** Bob answers Alice. */
export const arpReply = bytesOf(`
  02000000000a 02000000000b 0806
  0001 0800 06 04 0002  02000000000b 0a00000b  02000000000a 0a00000a`)

/** Alice to Bob: IPv4, ICMP echo request without data. */
export const ipv4Echo = bytesOf(`
  02000000000b 02000000000a 0800
  45000 01c 0001 4000 40 01 66c9 0a00000a 0a00000b
  0800 f7fe 0001 0000`)

/** Alice looks for Bob's address: IPv6 neighbour solicitation to the solicited-node group. */
export const ipv6NeighbourSolicitation = bytesOf(`
  3333ff00000b 02000000000a 86dd
  60000000 0020 3a ff fe800000000000000000000000 00000a ff0200000000000000000001ff00000b
  8700 0000 00000000 fe8000000000000000000000 0000000b 0101 02000000000a`)

/** Alice to Bob with an 802.1Q tag: priority 5, VID 42, IPv4. */
export const taggedIpv4 = bytesOf(`
  02000000000b 02000000000a 8100 a02a 0800
  4500001c 0001 4000 40 01 66c9 0a00000a 0a00000b
  0800 f7fe 0001 0000`)

/** A bridge's spanning tree BPDU, to the first reserved address. LLC, so the type field is a length. */
export const bpdu = bytesOf(`
  0180c2000000 02000000000a 0026 424203
  0000 00 00 00 8000020000000001 00000000 8000020000000001 8001 0000 1400 0200 0f00`)

/** MAC control PAUSE, to 01:80:C2:00:00:01. */
export const pause = bytesOf('0180c2000001 02000000000a 8808 0001 ffff')

/** LLDP announcement, to 01:80:C2:00:00:0E. */
export const lldp = bytesOf('0180c200000e 02000000000a 88cc 020704 02000000000a 040302 6131 06020078 0000')

/** GVRP, to 01:80:C2:00:00:21: registration protocols have addresses beyond the reserved sixteen. */
export const gvrp = bytesOf('0180c2000021 02000000000a 0007 424203 0001 00 00')

/** A frame that says it comes from a group. */
export const groupSource = bytesOf('02000000000b 03000000000a 0800 45000014')

/** A frame that says it comes from nobody. */
export const zeroSource = bytesOf('02000000000b 000000000000 0800 45000014')

/** What vfkit sends first on a connected socket; no frame. */
export const vfktHandshake = bytesOf('56464b54')

/**
 * A frame between two addresses, `length` bytes long with zeroes after the header; EtherType 0x88b5 is for experiments.
 */
export function frame(destination: string, source: string, length = 60): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, 14))
  putMac(bytes, 0, macOf(destination))
  putMac(bytes, 6, macOf(source))
  bytes.set([0x88, 0xb5], 12)
  return bytes.subarray(0, length)
}

/** 48-bit integer of an address that is known to be well written. */
export function macOf(text: string): number {
  const mac = parseMac(text)
  if (mac === undefined) throw new Error(`not a MAC address: ${text}`)
  return mac
}

export function putMac(bytes: Uint8Array, at: number, mac: number): void {
  for (let i = 0; i < 6; i++) bytes[at + i] = Math.floor(mac / 2 ** (8 * (5 - i))) % 256
}
