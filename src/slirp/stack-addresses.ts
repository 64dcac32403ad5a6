/**
 * The addresses that one stack of libslirp has: its gateway and its name server, in IPv4 and IPv6, and the MAC
 * addresses that it answers from. libslirp makes a MAC address of 52:55 and the four bytes of an IPv4 address, or of
 * 52:56 and the last four bytes of an IPv6 address (slirp.c, ip6.h). A VM may have one that begins alike (those of lima
 * do), so all six bytes are compared.
 */
import type { SlirpConfig } from '../config/interfaces/slirp.js'
import { parseIpv4, parseIpv6 } from '../wire/ip-address.js'
import { broadcastOf, type Ipv4Interface, parseIpv4Interface } from '../wire/ipv4-network.js'

const MAC_OF_IPV4 = 0x5255
const MAC_OF_IPV6 = 0x5256
/** fe80::2, which router advertisements come from, whatever the gateway's address is (ip6.h). */
const ROUTER_LOW = 2
const LINK_LOCAL = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0)

export type AddressConfig = Pick<SlirpConfig, 'network' | 'gateway' | 'dns' | 'ipv6' | 'dhcp' | 'dhcpStart'>

export class StackAddresses {
  /** IPv4 addresses as unsigned numbers. */
  readonly gateway: number
  readonly dns: number
  readonly broadcast: number
  readonly #macs4: readonly number[]
  readonly #macs6: readonly number[]
  readonly #prefix6: Uint8Array
  readonly #hosts6: readonly Uint8Array[]
  readonly #gateway6: Uint8Array

  constructor({ network, gateway, dns, ipv6 }: AddressConfig) {
    this.gateway = parseIpv4(gateway) as number
    this.dns = dns === false ? this.gateway : (parseIpv4(dns) as number)
    this.broadcast = broadcastOf(parseIpv4Interface(network) as Ipv4Interface)
    this.#macs4 = [this.gateway, this.dns]
    const addresses6 = ipv6 === false ? [] : [ipv6.gateway, ipv6.dns].map(text => parseIpv6(text) as Uint8Array)
    this.#gateway6 = addresses6[0] ?? new Uint8Array(16)
    this.#prefix6 = this.#gateway6.slice(0, 8)
    this.#hosts6 = addresses6.map(address => address.slice(8))
    this.#macs6 = addresses6.length === 0 ? [] : [...addresses6.map(address => word(address, 12)), ROUTER_LOW]
  }

  /** Whether the MAC address at this place is one that the stack has. */
  hasMac(bytes: Uint8Array, at: number): boolean {
    const high = (bytes[at] << 8) | bytes[at + 1]
    if (high === MAC_OF_IPV4) return this.#macs4.includes(word(bytes, at + 2))
    return high === MAC_OF_IPV6 && this.#macs6.includes(word(bytes, at + 2))
  }

  /** Whether the stack has this IPv4 address. */
  hasIpv4(address: number): boolean {
    return address === this.gateway || address === this.dns
  }

  /** Whether the stack has the IPv6 address at this place, in the guests' network or as a link-local one. */
  hasIpv6(bytes: Uint8Array, at: number): boolean {
    if (this.#hosts6.length === 0) return false
    if (!equal(bytes, at, this.#prefix6) && !equal(bytes, at, LINK_LOCAL)) return false
    for (const host of this.#hosts6) if (equal(bytes, at + 8, host)) return true
    return false
  }

  /** Whether it is the gateway's IPv6 address in the guests' network. */
  isGateway6(bytes: Uint8Array, at: number): boolean {
    return this.#hosts6.length > 0 && equal(bytes, at, this.#gateway6)
  }
}

/** Four bytes, big-endian, unsigned. */
export function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}

function equal(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false
  return true
}
