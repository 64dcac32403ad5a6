/**
 * IPv4 networks as the configuration writes them: `10.9.0.1/24` is a host in one. Addresses are unsigned 32-bit
 * numbers.
 */
import { formatIpv4, parseIpv4 } from './ip-address.js'

/** A host's address together with the length of its network's prefix. */
export interface Ipv4Interface {
  readonly address: number
  readonly prefixLength: number
}

/** `10.9.0.1/24`; undefined when it is not of this form. */
export function parseIpv4Interface(text: string): Ipv4Interface | undefined {
  const [front, length, ...rest] = text.split('/')
  const address = parseIpv4(front)
  if (address === undefined || length === undefined || rest.length > 0) return undefined
  if (!/^(\d|[12]\d|3[0-2])$/.test(length)) return undefined
  return { address, prefixLength: Number(length) }
}

export function netmask(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0
}

/** First address of the network, the one that names it. */
export function networkOf({ address, prefixLength }: Ipv4Interface): number {
  return (address & netmask(prefixLength)) >>> 0
}

/** Last address of the network. */
export function broadcastOf({ address, prefixLength }: Ipv4Interface): number {
  return (address | ~netmask(prefixLength)) >>> 0
}

/** The network without the host: `10.9.0.0/24`. */
export function formatNetwork(network: Ipv4Interface): string {
  return `${formatIpv4(networkOf(network))}/${network.prefixLength}`
}

export function contains(network: Ipv4Interface, address: number): boolean {
  return networkOf(network) === networkOf({ address, prefixLength: network.prefixLength })
}

/** Whether two networks have an address in common. */
export function overlap(a: Ipv4Interface, b: Ipv4Interface): boolean {
  return a.prefixLength <= b.prefixLength ? contains(a, b.address) : contains(b, a.address)
}
