/**
 * Whether what follows an IP header keeps to the rules of its protocol. libslirp checks most of this itself, and its
 * faults have been where it did not, so nothing reaches it that it would have to check. Each function gets the bytes
 * from `at` up to, not including, `end`; what lies behind `end` is another frame's.
 */
const TCP = 6
const TCP_HEADER = 20
const UDP_HEADER = 8
const TCP_END = 0
const TCP_NOP = 1
/** BOOTP up to the magic cookie, RFC 951 and RFC 2131. */
const BOOTP = 236
const COOKIE = 0x63825363
const DHCP_PAD = 0
const DHCP_END = 255

const half = (bytes: Uint8Array, at: number): number => (bytes[at] << 8) | bytes[at + 1]

/** RFC 9293: the data offset lies within the segment, the options within the header. */
export function isTcp(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + TCP_HEADER > end) return false
  const header = (bytes[at + 12] >> 4) * 4
  if (header < TCP_HEADER || at + header > end || half(bytes, at + 2) === 0) return false
  for (let option = at + TCP_HEADER; option < at + header; ) {
    const kind = bytes[option]
    if (kind === TCP_END) return true
    if (kind === TCP_NOP) {
      option++
      continue
    }
    if (option + 1 >= at + header) return false
    const length = bytes[option + 1]
    if (length < 2 || option + length > at + header) return false
    option += length
  }
  return true
}

/** RFC 768: the length covers the header and lies within the packet; there is no port 0 to send to. */
export function isUdp(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + UDP_HEADER > end) return false
  const length = half(bytes, at + 4)
  return length >= UDP_HEADER && at + length <= end && half(bytes, at + 2) !== 0
}

/** RFC 792, RFC 4443: eight bytes at least, as all messages have that libslirp answers. */
export function isIcmp(at: number, end: number): boolean {
  return at + 8 <= end
}

/** RFC 826 for IPv4 on Ethernet; a sender's MAC address is no group. */
export function isArp(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + 28 > end) return false
  const isIpv4 = half(bytes, at) === 1 && half(bytes, at + 2) === 0x0800 && bytes[at + 4] === 6 && bytes[at + 5] === 4
  const operation = half(bytes, at + 6)
  return isIpv4 && (operation === 1 || operation === 2) && (bytes[at + 8] & 1) === 0
}

/** A request of BOOTP or DHCP for Ethernet; `at` is behind the UDP header. RFC 951, RFC 2132. */
export function isDhcp(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + BOOTP + 4 > end) return false
  if (bytes[at] !== 1 || bytes[at + 1] !== 1 || bytes[at + 2] !== 6 || (bytes[at + 28] & 1) !== 0) return false
  if (((half(bytes, at + BOOTP) << 16) | half(bytes, at + BOOTP + 2)) >>> 0 !== COOKIE) return true
  for (let option = at + BOOTP + 4; option < end; ) {
    const code = bytes[option]
    if (code === DHCP_END) return true
    if (code === DHCP_PAD) {
      option++
      continue
    }
    if (option + 1 >= end || option + 2 + bytes[option + 1] > end) return false
    option += 2 + bytes[option + 1]
  }
  return true
}

/**
 * Where the value of a DHCP option begins; -1 where there is none of at least that length. Only for what `isDhcp`
 * accepts.
 */
export function dhcpOption(bytes: Uint8Array, at: number, end: number, wanted: number, length: number): number {
  if (((half(bytes, at + BOOTP) << 16) | half(bytes, at + BOOTP + 2)) >>> 0 !== COOKIE) return -1
  let found = -1
  for (let option = at + BOOTP + 4; option < end && bytes[option] !== DHCP_END; ) {
    if (bytes[option] === DHCP_PAD) {
      option++
      continue
    }
    // The last one counts, as it does for libslirp.
    if (bytes[option] === wanted && bytes[option + 1] >= length) found = option + 2
    option += 2 + bytes[option + 1]
  }
  return found
}

/** RFC 8415: four bytes, then options that lie within the message. */
export function isDhcpV6(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + 4 > end) return false
  let option = at + 4
  while (option + 4 <= end) option += 4 + half(bytes, option + 2)
  return option === end
}

/** Neighbour discovery, RFC 4861: `fixed` bytes, then options of at least eight bytes each. */
export function isNeighbourDiscovery(bytes: Uint8Array, at: number, end: number, fixed: number): boolean {
  if (at + fixed > end || bytes[at + 1] !== 0) return false
  let option = at + fixed
  while (option + 8 <= end && bytes[option + 1] > 0) option += bytes[option + 1] * 8
  return option === end
}

/** RFC 1071, over the bytes of an IPv4 header: 0 where it is right. */
export function headerChecksum(bytes: Uint8Array, at: number, length: number): number {
  return folded(sumOf(bytes, at, at + length))
}

/**
 * RFC 9293 section 3.1: of the segment from `at` to `end` and the pseudo-header of its IP packet at `ip`. 0 where it is
 * right.
 */
export function tcpChecksum(bytes: Uint8Array, ip: number, at: number, end: number): number {
  const addresses = bytes[ip] >> 4 === 6 ? sumOf(bytes, ip + 8, ip + 40) : sumOf(bytes, ip + 12, ip + 20)
  return folded(TCP + (end - at) + addresses + sumOf(bytes, at, end))
}

export const isTcpChecksumRight = (bytes: Uint8Array, ip: number, at: number, end: number): boolean =>
  tcpChecksum(bytes, ip, at, end) === 0

/** Of halves, big-endian; a last byte alone is a high one. */
function sumOf(bytes: Uint8Array, from: number, end: number): number {
  let sum = 0
  for (let i = from; i + 1 < end; i += 2) sum += half(bytes, i)
  return (end - from) % 2 === 0 ? sum : sum + (bytes[end - 1] << 8)
}

function folded(sum: number): number {
  let rest = sum
  while (rest > 0xffff) rest = (rest & 0xffff) + (rest >>> 16)
  return ~rest & 0xffff
}
