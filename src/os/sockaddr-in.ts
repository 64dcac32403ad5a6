/** Addresses of UDP sockets as the kernel wants them: struct sockaddr_in and sockaddr_in6. */
import type { Layout } from './layout.js'

export interface InetAddress {
  /** 4 bytes for IPv4, 16 for IPv6, in network order. */
  readonly ip: Uint8Array
  readonly port: number
  /** Number of the interface of a link-local address, else 0. */
  readonly scope: number
}

export const SOCKADDR_IN = 16
export const SOCKADDR_IN6 = 28
const PORT = 2
const IPV4 = 4
const IPV6 = 8
const SCOPE = 24

/** Where the IP address is in an encoded address of this length. */
export const ipOffset = (length: number): number => (length === SOCKADDR_IN ? IPV4 : IPV6)

export function encodeInetAddress({ inet, platform }: Layout, { ip, port, scope }: InetAddress): Uint8Array {
  const isIpv4 = ip.length === 4
  const bytes = new Uint8Array(isIpv4 ? SOCKADDR_IN : SOCKADDR_IN6)
  bytes[inet.familyOffset] = isIpv4 ? inet.AF_INET : inet.AF_INET6
  if (platform === 'darwin') bytes[0] = bytes.length
  const view = new DataView(bytes.buffer)
  view.setUint16(PORT, port)
  bytes.set(ip, isIpv4 ? IPV4 : IPV6)
  if (!isIpv4) view.setUint32(SCOPE, scope, true)
  return bytes
}

/** Undefined when it is an address of another kind, or cut short. */
export function decodeInetAddress({ inet }: Layout, bytes: Uint8Array): InetAddress | undefined {
  const family = bytes[inet.familyOffset]
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (family === inet.AF_INET && bytes.length >= SOCKADDR_IN) {
    return { ip: bytes.slice(IPV4, IPV4 + 4), port: view.getUint16(PORT), scope: 0 }
  }
  if (family === inet.AF_INET6 && bytes.length >= SOCKADDR_IN6) {
    return { ip: bytes.slice(IPV6, IPV6 + 16), port: view.getUint16(PORT), scope: view.getUint32(SCOPE, true) }
  }
  return undefined
}
