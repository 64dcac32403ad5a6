/**
 * Which frames of guests the stack gets to see. libslirp was made for one guest on a cable of its own; on a switch, and with the host's
 * loopback to protect, three things have to be looked after before it:
 *
 * - It does not look at the destination address. A frame from one guest to another that is flooded would be answered: a TCP
 *   connection between two guests would be reset by the gateway. So only group addresses and its own pass, as in a network card.
 * - Packets to 127.0.0.0/8, 0.0.0.0/8 or ::/80 (which has ::1 and the IPv4-mapped addresses in it) would be sent to the host's own
 *   loopback, whatever `disable_host_loopback` says: that guards the gateway's address only. Such destinations never appear
 *   on a network (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3), so they are refused without exception.
 * - Every flow of a guest is a socket of this process. Once there are as many as allowed, whatever would open another is refused:
 *   TCP's first segment, ICMP echo, and datagrams, whose flows cannot be told from new ones; except DHCP, which opens none.
 */
import { ETHER_TYPE } from '../wire/ethernet.js'

export const Verdict = {
  pass: 0,
  /** For others, as any network card would ignore it. */
  notOurs: 1,
  /** To an address that is not on any network. */
  unroutable: 2,
  /** May open a socket. */
  opens: 3,
} as const
export type Verdict = (typeof Verdict)[keyof typeof Verdict]

const IPV4 = 0x0800
const ARP = 0x0806
const IPV6 = 0x86dd
const ICMP = 1
const TCP = 6
const UDP = 17
const ICMPV6 = 58
const ECHO_REQUEST = 8
const ECHO_REQUEST_V6 = 128
const BOOTP_SERVER = 67
const DHCPV6_SERVER = 547
const SYN = 0x02
const ACK = 0x10
const IP = 14
const IPV6_HEADER = 40

/** The first octets of every address the stack has: 52:55 in front of an IPv4 address, 52:56 for IPv6 (libslirp src/slirp.c, ip6.h). */
const STACK = 0x52
const STACK_IPV4 = 0x55
const STACK_IPV6 = 0x56

export function judge(bytes: Uint8Array, offset: number, length: number): Verdict {
  if (length < IP) return Verdict.notOurs
  const first = bytes[offset]
  const second = bytes[offset + 1]
  const isOurs = first === STACK && (second === STACK_IPV4 || second === STACK_IPV6)
  if (!isOurs && (first & 1) === 0) return Verdict.notOurs
  const type = (bytes[offset + ETHER_TYPE] << 8) | bytes[offset + ETHER_TYPE + 1]
  if (type === IPV4) return judgeIpv4(bytes, offset + IP, length - IP)
  if (type === IPV6) return judgeIpv6(bytes, offset + IP, length - IP)
  return type === ARP ? Verdict.pass : Verdict.notOurs
}

function judgeIpv4(bytes: Uint8Array, at: number, length: number): Verdict {
  if (length < 20) return Verdict.notOurs
  const first = bytes[at + 16]
  if (first === 127 || first === 0) return Verdict.unroutable
  const fragmentOffset = ((bytes[at + 6] & 0x1f) << 8) | bytes[at + 7]
  if (fragmentOffset > 0) return Verdict.pass
  return judgeTransport(bytes, bytes[at + 9], at + (bytes[at] & 15) * 4, at + length)
}

function judgeIpv6(bytes: Uint8Array, at: number, length: number): Verdict {
  if (length < IPV6_HEADER) return Verdict.notOurs
  let isZero = true
  for (let i = at + 24; i < at + 34 && isZero; i++) isZero = bytes[i] === 0
  if (isZero) return Verdict.unroutable
  // libslirp knows no extension headers, so what follows the header is the transport's.
  return judgeTransport(bytes, bytes[at + 6], at + IPV6_HEADER, at + length)
}

function judgeTransport(bytes: Uint8Array, protocol: number, at: number, end: number): Verdict {
  if (protocol === TCP) {
    if (at + 20 > end) return Verdict.notOurs
    return (bytes[at + 13] & (SYN | ACK)) === SYN ? Verdict.opens : Verdict.pass
  }
  if (protocol === UDP) {
    if (at + 8 > end) return Verdict.notOurs
    const port = (bytes[at + 2] << 8) | bytes[at + 3]
    return port === BOOTP_SERVER || port === DHCPV6_SERVER ? Verdict.pass : Verdict.opens
  }
  const isEcho =
    (protocol === ICMP && bytes[at] === ECHO_REQUEST) || (protocol === ICMPV6 && bytes[at] === ECHO_REQUEST_V6)
  return isEcho ? Verdict.opens : Verdict.pass
}
