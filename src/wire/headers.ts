/**
 * Where the headers of a frame are: Ethernet, up to two VLAN tags, IPv4 or IPv6 or ARP, TCP or UDP. One object is filled again and again.
 *
 * Nothing is trusted: a header that the frame is too short for is not there.
 */
import { ETHER_TYPE, HEADER_SIZE } from './ethernet.js'

export const EtherType = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, serviceVlan: 0x88a8 } as const
export const IpProtocol = { icmp: 1, tcp: 6, udp: 17, icmp6: 58 } as const

const IPV4_HEADER = 20
const IPV6_HEADER = 40
/** ARP for IPv4 over Ethernet (RFC 826). */
const ARP_SIZE = 28
/** Extension headers that are followed (RFC 8200 section 4); more in one packet is an attack on parsers. */
const MAX_EXTENSIONS = 8
const HOP_BY_HOP = 0
const ROUTING = 43
const FRAGMENT = 44
const DESTINATION_OPTIONS = 60

export class Headers {
  /** Behind all tags; below 1536 it is a length (IEEE 802.3). */
  etherType = 0
  /** VID of the outer tag; -1 without. */
  vid = -1
  /** Offsets in the bytes given; -1 where there is no such header. */
  ip = -1
  arp = -1
  /** What follows the IP header; -1 where that is unknown. */
  protocol = -1
  /** TCP or UDP ports: source here, destination two bytes further. */
  ports = -1

  parse(bytes: Uint8Array, offset: number, length: number): void {
    const end = offset + length
    this.vid = -1
    this.ip = -1
    this.arp = -1
    this.protocol = -1
    this.ports = -1
    let at = offset + HEADER_SIZE
    this.etherType = length < HEADER_SIZE ? -1 : word(bytes, offset + ETHER_TYPE)
    for (let tags = 0; tags < 2 && isTag(this.etherType) && at + 4 <= end; tags++, at += 4) {
      if (this.vid < 0) this.vid = word(bytes, at) & 0xfff
      this.etherType = word(bytes, at + 2)
    }
    if (this.etherType === EtherType.ipv4 && at + IPV4_HEADER <= end) this.#ipv4(bytes, at, end)
    else if (this.etherType === EtherType.ipv6 && at + IPV6_HEADER <= end) this.#ipv6(bytes, at, end)
    else if (this.etherType === EtherType.arp && at + ARP_SIZE <= end) this.arp = at
  }

  #ipv4(bytes: Uint8Array, at: number, end: number): void {
    this.ip = at
    this.protocol = bytes[at + 9]
    // Only the first fragment has ports.
    if ((word(bytes, at + 6) & 0x1fff) === 0) this.#transport(at + (bytes[at] & 15) * 4, end)
  }

  #ipv6(bytes: Uint8Array, at: number, end: number): void {
    this.ip = at
    let next = bytes[at + 6]
    let header = at + IPV6_HEADER
    for (let i = 0; i < MAX_EXTENSIONS && header + 8 <= end; i++) {
      if (next === FRAGMENT) {
        const isFirst = (word(bytes, header + 2) & 0xfff8) === 0
        next = bytes[header]
        header += 8
        if (isFirst) continue
        this.protocol = next
        return
      }
      if (next !== HOP_BY_HOP && next !== ROUTING && next !== DESTINATION_OPTIONS) break
      next = bytes[header]
      header += (bytes[header + 1] + 1) * 8
    }
    this.protocol = next
    this.#transport(header, end)
  }

  #transport(at: number, end: number): void {
    const hasPorts = this.protocol === IpProtocol.tcp || this.protocol === IpProtocol.udp
    if (hasPorts && at + 4 <= end) this.ports = at
  }
}

export function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}

function isTag(etherType: number): boolean {
  return etherType === EtherType.vlan || etherType === EtherType.serviceVlan
}
