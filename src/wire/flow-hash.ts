/**
 * A number for the flow a frame belongs to: the same for all its frames, in all likelihood another for other flows.
 * From the MAC addresses, and for IP also from addresses, protocol and ports, as network cards do it; for fragments not
 * from ports, which only the first of them has. Tags are looked behind.
 */
const TYPE_AT = 12
const IPV4 = 0x0800
const IPV6 = 0x86dd
const TAG = 0x8100
const SERVICE_TAG = 0x88a8
const TCP = 6
const UDP = 17
/** MF and fragment offset. */
const FRAGMENT_BITS = 0x3fff

/** 31 bits, never negative. */
export function flowHash(bytes: Uint8Array, offset: number, length: number): number {
  if (length < 14) return 0
  const end = offset + length
  let hash = mix(mix(mix(0, word(bytes, offset)), word(bytes, offset + 4)), word(bytes, offset + 8))
  let at = offset + TYPE_AT
  let type = half(bytes, at)
  for (let tags = 0; (type === TAG || type === SERVICE_TAG) && tags < 2 && at + 6 <= end; tags++) {
    at += 4
    type = half(bytes, at)
  }
  const ip = at + 2
  if (type === IPV4 && ip + 20 <= end) {
    hash = mix(mix(mix(hash, word(bytes, ip + 12)), word(bytes, ip + 16)), bytes[ip + 9])
    const isFragment = (half(bytes, ip + 6) & FRAGMENT_BITS) !== 0
    const ports = ip + (bytes[ip] & 15) * 4
    if (!isFragment && hasPorts(bytes[ip + 9]) && ports + 4 <= end) hash = mix(hash, word(bytes, ports))
  } else if (type === IPV6 && ip + 40 <= end) {
    for (let i = 8; i < 40; i += 4) hash = mix(hash, word(bytes, ip + i))
    if (hasPorts(bytes[ip + 6]) && ip + 44 <= end) hash = mix(hash, word(bytes, ip + 40))
  }
  return (hash ^ (hash >>> 16)) & 0x7fffffff
}

function hasPorts(protocol: number): boolean {
  return protocol === TCP || protocol === UDP
}

function half(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
}

function mix(hash: number, value: number): number {
  const product = Math.imul(hash ^ value, 0x9e3779b1)
  return product ^ (product >>> 15)
}
