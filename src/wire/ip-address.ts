/**
 * IP addresses as text and as numbers or bytes. IPv4 addresses are unsigned 32-bit integers, in the order people read
 * them.
 */

/** Undefined for anything but four decimal octets. */
export function parseIpv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (match === null) return undefined
  const octets = match.slice(1).map(Number)
  if (octets.some((octet, i) => octet > 255 || String(octet) !== match[i + 1])) return undefined
  return octets.reduce((sum, octet) => sum * 256 + octet, 0)
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map(shift => (address >>> shift) & 255).join('.')
}

/** Prefix length of a netmask such as 0xffffff00; undefined when its ones are not all in front. */
export function prefixLength(mask: number): number | undefined {
  const hosts = ~mask >>> 0
  return (hosts & (hosts + 1)) === 0 ? Math.clz32(hosts) : undefined
}

/** 10/8, 172.16/12 and 192.168/16 (RFC 1918). */
export function isPrivateIpv4(address: number): boolean {
  return address >>> 24 === 10 || address >>> 20 === 0xac1 || address >>> 16 === 0xc0a8
}

/** Sixteen bytes, or undefined for anything but groups of hexadecimal digits with at most one "::". */
export function parseIpv6(text: string): Uint8Array | undefined {
  const [head, tail, ...more] = text.split('::')
  if (head === undefined || more.length > 0) return undefined
  const front = groupsOf(head)
  const back = tail === undefined ? [] : groupsOf(tail)
  if (front === undefined || back === undefined) return undefined
  const missing = 8 - front.length - back.length
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined
  const groups = [...front, ...new Array<number>(missing).fill(0), ...back]
  return Uint8Array.from(groups.flatMap(group => [group >> 8, group & 255]))
}

function groupsOf(text: string): number[] | undefined {
  if (text === '') return []
  const groups = text.split(':')
  return groups.every(group => /^[0-9a-f]{1,4}$/i.test(group))
    ? groups.map(group => Number.parseInt(group, 16))
    : undefined
}

/** With the longest run of zero groups left out (RFC 5952). */
export function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] << 8) | bytes[2 * i + 1]).toString(16))
  const runs = [...groups.join(':').matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].map(match => match[0])
  const longest = runs.reduce(
    (best, run) => (run.replace(/^:/, '').length > best.replace(/^:/, '').length ? run : best),
    '',
  )
  if (longest === '') return groups.join(':')
  const text = groups.join(':').replace(longest, '::')
  return text.replace(/:::+/, '::')
}
