/**
 * Which frames of guests libslirp gets to see. libslirp was made for one guest on a cable of its own, and for guests
 * that mean well. On a switch, and with the host to protect, this stands in front of it:
 *
 * - **Destination.** libslirp does not look at the destination MAC address, so it would answer frames between two
 *   guests that are flooded. Its own addresses pass, and groups; to a group's MAC address, only packets that are to a
 *   group or to itself (RFC 1122 section 3.3.6).
 * - **Loopback.** Packets to 127.0.0.0/8, 0.0.0.0/8 or ::/80 would be sent to the host's own loopback, whatever
 *   `disable_host_loopback` says: that guards the gateway's address only. No network has such destinations (RFC 1122
 *   section 3.2.1.3, RFC 4291 section 2.5.3).
 * - **Form.** What libslirp would have to check is checked here (well-formed.ts). It gets exactly the bytes of the
 *   packet: libslirp takes the padding of a short frame for data of an IPv6 packet. Fragments are put together here
 *   (reassembly.ts). IPv6 extension headers, TFTP, ICMP beyond echo: refused, as libslirp has nothing to do with them.
 * - **Sockets.** Every flow of a guest is a socket of this process (connections.ts). What may open one is refused when
 *   the guest has its share: TCP's first segment, ICMP echo and datagrams to others than the stack. DHCP and DHCPv6 to
 *   the stack's own addresses, the broadcast address and ff02::1:2 open none.
 * - **Sequence numbers.** There is one that a TCP connection must not stop at (sequence-guard.ts).
 * - **DHCP.** libslirp has sixteen addresses (dhcp-pool.ts).
 *
 * Time is an argument, frames are bytes in a buffer, and nothing is allocated for a frame.
 */
import { ETHER_TYPE, SOURCE } from '../wire/ethernet.js'
import { parseIpv4 } from '../wire/ip-address.js'
import type { Connections } from './connections.js'
import { DhcpPool, macAt } from './dhcp-pool.js'
import { KEPT, Reassembly } from './reassembly.js'
import { OPENS, PASS, RefusalCounts, Refuse } from './refusals.js'
import { SequenceGuard } from './sequence-guard.js'
import { type AddressConfig, StackAddresses, word } from './stack-addresses.js'
import { headerChecksum, isArp, isDhcp, isDhcpV6, isIcmp, isNeighbourDiscovery, isTcp, isUdp } from './well-formed.js'

const ARP = 0x0806
const IPV4 = 0x0800
const IPV6 = 0x86dd
const ICMP = 1
const TCP = 6
const UDP = 17
const ICMPV6 = 58
const ECHO_REQUEST = 8
const ECHO_REQUEST_V6 = 128
const ROUTER_SOLICITATION = 133
const NEIGHBOUR_SOLICITATION = 135
const NEIGHBOUR_ADVERTISEMENT = 136
const BOOTP_SERVER = 67
const TFTP = 69
const DHCPV6_SERVER = 547
const DHCPV6_INFORMATION_REQUEST = 11
const SYN = 0x02
const ACK = 0x10
const IP = 14
const IPV6_HEADER = 40
const UDP_HEADER = 8
const BROADCAST = 0xffffffff
const RESERVED_BIT = 0x80
const FRAGMENT_BITS = 0x3f
/** How often fragments that wait are looked at. Milliseconds. */
const EXPIRE_MS = 1000

export interface AdmissionParts {
  readonly config: AddressConfig
  readonly connections: Connections
  /** Gives libslirp a frame; it is read before this returns. */
  readonly give: (address: number, length: number) => void
  readonly counts?: RefusalCounts
  /**
   * Hears of each frame that is refused because its guest, a MAC address as a number, may not open another connection.
   */
  readonly refusedGuest?: (mac: number) => void
}

export class Admission {
  readonly counts: RefusalCounts
  readonly #addresses: StackAddresses
  readonly #connections: Connections
  readonly #give: (address: number, length: number) => void
  readonly #refusedGuest: (mac: number) => void
  readonly #reassembly: Reassembly
  readonly #guard: SequenceGuard
  readonly #pool: DhcpPool | null
  /** Makes hashes of IPv6 flows that no guest can foresee. */
  readonly #seed = Math.floor(Math.random() * 2 ** 31)
  #guest = 0
  #now = 0
  #expiredAt = 0
  /** Of the packet that was judged last: its end in the buffer, and its sender's flow where it is a datagram. */
  #end = 0
  #flow = 0
  /** Where its TCP segment is, if that is one of which libslirp may not get all; else 0. */
  #guarded = 0
  /** It was put together from fragments, and lies in the memory of the reassembly. */
  #isWhole = false

  constructor({ config, connections, give, counts = new RefusalCounts(), refusedGuest = () => {} }: AdmissionParts) {
    this.counts = counts
    this.#addresses = new StackAddresses(config)
    this.#connections = connections
    this.#give = give
    this.#refusedGuest = refusedGuest
    this.#reassembly = new Reassembly(counts)
    this.#guard = new SequenceGuard(give)
    this.#pool = config.dhcp ? new DhcpPool(parseIpv4(config.dhcpStart) as number) : null
  }

  /**
   * A frame of a guest, at `offset` of `bytes` and at `address` for C; `now` in milliseconds, of a clock that never
   * goes back.
   */
  admit(bytes: Uint8Array, offset: number, length: number, address: number, now: number): void {
    this.#now = now
    if (now - this.#expiredAt >= EXPIRE_MS) {
      this.#expiredAt = now
      this.#reassembly.expire(now)
    }
    const verdict = this.judge(bytes, offset, length)
    if (verdict === KEPT) return
    const whole = this.#reassembly
    if (this.#isWhole) this.#settle(verdict, whole.bytes, whole.offset, whole.address)
    else this.#settle(verdict, bytes, offset, address)
  }

  /** A frame of libslirp, at `offset` of `bytes`: to be called for each one that it sends. */
  hear(bytes: Uint8Array, offset: number): void {
    this.#guard.hear(bytes, offset)
  }

  #settle(verdict: number, bytes: Uint8Array, frame: number, address: number): void {
    const isAdmitted = verdict === PASS || (verdict === OPENS && this.#connections.mayOpen(this.#guest, this.#flow))
    if (!isAdmitted) {
      this.counts.add(verdict === OPENS ? Refuse.connections : verdict)
      if (verdict === OPENS) this.#refusedGuest(this.#guest)
      return
    }
    this.#connections.begin(this.#guest, this.#flow)
    if (this.#guarded === 0) this.#give(address, this.#end - frame)
    else if (!this.#guard.admit(bytes, frame, this.#guarded, this.#end, address)) this.counts.add(Refuse.sequence)
    this.#connections.end()
  }

  /** PASS, OPENS, KEPT for a fragment that waits, or why it is refused. */
  judge(bytes: Uint8Array, offset: number, length: number): number {
    this.#isWhole = false
    this.#flow = 0
    this.#guarded = 0
    if (length < IP) return Refuse.notOurs
    const isGroup = (bytes[offset] & 1) === 1
    if (!isGroup && !this.#addresses.hasMac(bytes, offset)) return Refuse.notOurs
    this.#guest = macAt(bytes, offset + SOURCE)
    const end = offset + length
    const type = (bytes[offset + ETHER_TYPE] << 8) | bytes[offset + ETHER_TYPE + 1]
    if (type === IPV4) return this.#ipv4(bytes, offset, end, isGroup)
    if (type === IPV6) return this.#ipv6(bytes, offset, end, isGroup)
    return type === ARP ? this.#arp(bytes, offset + IP, end) : Refuse.notOurs
  }

  #arp(bytes: Uint8Array, at: number, end: number): number {
    if (!isArp(bytes, at, end)) return Refuse.arp
    this.#end = at + 28
    return isGuestIpv4(word(bytes, at + 14), this.#addresses) ? PASS : Refuse.source
  }

  #ipv4(bytes: Uint8Array, frame: number, end: number, isGroup: boolean): number {
    const at = frame + IP
    if (at + 20 > end) return Refuse.ip
    const headerLength = (bytes[at] & 15) * 4
    const packet = (bytes[at + 2] << 8) | bytes[at + 3]
    if (bytes[at] >> 4 !== 4 || headerLength < 20 || packet < headerLength || at + packet > end) return Refuse.ip
    if (bytes[at + 8] === 0 || headerChecksum(bytes, at, headerLength) !== 0) return Refuse.ip
    if ((bytes[at + 6] & RESERVED_BIT) !== 0) return Refuse.ip
    this.#end = at + packet
    const destination = word(bytes, at + 16)
    const first = destination >>> 24
    if (first === 127 || first === 0) return Refuse.unroutable
    const isToMany = destination === BROADCAST || destination === this.#addresses.broadcast || first >= 224
    if (isGroup && !isToMany && !this.#addresses.hasIpv4(destination)) return Refuse.notOurs
    const source = word(bytes, at + 12)
    if (!isGuestIpv4(source, this.#addresses)) return Refuse.source
    if ((bytes[at + 6] & FRAGMENT_BITS) !== 0 || bytes[at + 7] !== 0) {
      const made = this.#reassembly.add(bytes, frame, headerLength, this.#end, this.#guest, this.#now)
      if (made !== PASS) return made
      const { bytes: whole, offset, length } = this.#reassembly
      const verdict = this.#ipv4(whole, offset, offset + length, isGroup)
      this.#isWhole = true
      return verdict
    }
    const transport = at + headerLength
    switch (bytes[at + 9]) {
      case TCP:
        if (isToMany) return Refuse.notOurs
        return source === 0 ? Refuse.source : this.#tcp(bytes, at, transport)
      case UDP:
        return this.#udp4(bytes, transport, source, destination)
      case ICMP:
        if (!isIcmp(transport, this.#end)) return Refuse.icmp
        if (bytes[transport] !== ECHO_REQUEST || isToMany) return Refuse.notOurs
        if (source === 0) return Refuse.source
        return this.#addresses.hasIpv4(destination) ? PASS : OPENS
    }
    return Refuse.unsupported
  }

  #tcp(bytes: Uint8Array, ip: number, at: number): number {
    if (!isTcp(bytes, at, this.#end)) return Refuse.tcp
    if (this.#guard.concerns(bytes, ip, at, this.#end)) this.#guarded = at
    return (bytes[at + 13] & (SYN | ACK)) === SYN ? OPENS : PASS
  }

  #udp4(bytes: Uint8Array, at: number, source: number, destination: number): number {
    const end = this.#end
    if (!isUdp(bytes, at, end)) return Refuse.udp
    const from = (bytes[at] << 8) | bytes[at + 1]
    const port = (bytes[at + 2] << 8) | bytes[at + 3]
    if (port === BOOTP_SERVER && (destination === BROADCAST || destination === this.#addresses.gateway)) {
      if (!isDhcp(bytes, at + UDP_HEADER, udpEnd(bytes, at))) return Refuse.dhcp
      return this.#pool?.request(bytes, at + UDP_HEADER, udpEnd(bytes, at), this.#guest) ?? Refuse.notOurs
    }
    if (source === 0) return Refuse.source
    if (port === TFTP && destination === this.#addresses.gateway) return Refuse.unsupported
    this.#flow = source * 65_536 + from
    return OPENS
  }

  #ipv6(bytes: Uint8Array, frame: number, end: number, isGroup: boolean): number {
    const at = frame + IP
    const transport = at + IPV6_HEADER
    if (transport > end || bytes[at] >> 4 !== 6 || bytes[at + 7] === 0) return Refuse.ip
    this.#end = transport + ((bytes[at + 4] << 8) | bytes[at + 5])
    if (this.#end > end) return Refuse.ip
    if (isZero(bytes, at + 24, 10)) return Refuse.unroutable
    const isToMany = bytes[at + 24] === 0xff
    const isToStack = this.#addresses.hasIpv6(bytes, at + 24)
    if (isGroup && !isToMany && !isToStack) return Refuse.notOurs
    if (bytes[at + 8] === 0xff || this.#addresses.hasIpv6(bytes, at + 8)) return Refuse.source
    const hasSource = !isZero(bytes, at + 8, 10)
    if (!hasSource && !(bytes[at + 6] === ICMPV6 && isZero(bytes, at + 8, 16))) return Refuse.source
    switch (bytes[at + 6]) {
      case TCP:
        return isToMany ? Refuse.notOurs : this.#tcp(bytes, at, transport)
      case UDP:
        return this.#udp6(bytes, at, transport)
      case ICMPV6:
        return this.#icmp6(bytes, at, transport, isToStack && hasSource)
    }
    return Refuse.unsupported
  }

  #udp6(bytes: Uint8Array, at: number, transport: number): number {
    if (!isUdp(bytes, transport, this.#end)) return Refuse.udp
    const port = (bytes[transport + 2] << 8) | bytes[transport + 3]
    const isToGateway = this.#addresses.isGateway6(bytes, at + 24)
    if (port === DHCPV6_SERVER && (isToGateway || isDhcpGroup(bytes, at + 24))) {
      if (!isDhcpV6(bytes, transport + UDP_HEADER, udpEnd(bytes, transport))) return Refuse.dhcp
      return bytes[transport + UDP_HEADER] === DHCPV6_INFORMATION_REQUEST ? PASS : Refuse.notOurs
    }
    if (port === TFTP && isToGateway) return Refuse.unsupported
    this.#flow = this.#hash(bytes, at + 8, transport)
    return OPENS
  }

  #icmp6(bytes: Uint8Array, at: number, transport: number, isEchoToStack: boolean): number {
    const end = this.#end
    if (!isIcmp(transport, end)) return Refuse.icmp
    const type = bytes[transport]
    // libslirp prints a line for each echo request to anywhere else.
    if (type === ECHO_REQUEST_V6) return isEchoToStack ? PASS : Refuse.unsupported
    const fixed =
      type === ROUTER_SOLICITATION ? 8 : type === NEIGHBOUR_SOLICITATION || type === NEIGHBOUR_ADVERTISEMENT ? 24 : 0
    if (fixed === 0) return Refuse.notOurs
    if (bytes[at + 7] !== 255 || !isNeighbourDiscovery(bytes, transport, end, fixed)) return Refuse.nd
    const isForged = type === NEIGHBOUR_ADVERTISEMENT && this.#addresses.hasIpv6(bytes, transport + 8)
    return isForged ? Refuse.source : PASS
  }

  /** Of a source address and port: from 2^48 on, where no flow of IPv4 is, below 2^52. */
  #hash(bytes: Uint8Array, address: number, transport: number): number {
    let high = this.#seed
    let low = ~this.#seed
    for (let i = 0; i < 18; i++) {
      const byte = i < 16 ? bytes[address + i] : bytes[transport + i - 16]
      high = Math.imul(high ^ byte, 0x01000193)
      low = Math.imul(low + byte, 0x5bd1e995) ^ (low >>> 15)
    }
    return 2 ** 48 + ((high >>> 0) % 2 ** 19) * 2 ** 32 + (low >>> 0)
  }
}

/** Where the data of a datagram ends, by its own length; it was found to lie within the packet. */
function udpEnd(bytes: Uint8Array, at: number): number {
  return at + ((bytes[at + 4] << 8) | bytes[at + 5])
}

/** An address that a guest may have; 0.0.0.0 is that of one without. */
function isGuestIpv4(address: number, stack: StackAddresses): boolean {
  const first = address >>> 24
  if (first >= 224 || first === 127 || (first === 0 && address !== 0)) return false
  return address !== stack.broadcast && !stack.hasIpv4(address)
}

function isZero(bytes: Uint8Array, at: number, length: number): boolean {
  for (let i = at; i < at + length; i++) if (bytes[i] !== 0) return false
  return true
}

/** ff02::1:2, all DHCPv6 servers and relays (RFC 8415 section 7.1). */
function isDhcpGroup(bytes: Uint8Array, at: number): boolean {
  return word(bytes, at) === 0xff020000 && isZero(bytes, at + 4, 8) && word(bytes, at + 12) === 0x00010002
}
