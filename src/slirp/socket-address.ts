/** struct sockaddr_in, sockaddr_in6 and sockaddr_un for libslirp's forwards and outbound addresses. */
import type { ForwardEnd } from '../config/forwards.js'
import { NativeMemory } from '../os/native-memory.js'
import { platformLayout } from '../os/os.js'
import { encodeUnixAddress } from '../os/sockaddr-un.js'
import { parseIpv4, parseIpv6 } from '../wire/ip-address.js'

const AF_INET = 2
/** bits/socket.h; bsd/sys/socket.h. */
const AF_INET6 = { linux: 10, darwin: 30 }

/** For C; the bytes lie at the address of what is returned, as long as that lives. */
export function socketAddress(end: ForwardEnd): { memory: NativeMemory; length: number } {
  const layout = platformLayout()
  const bytes = end.family === 'unix' ? encodeUnixAddress(layout, end.path) : encode(end, layout.platform)
  const memory = new NativeMemory(bytes.length)
  memory.bytes.set(bytes)
  return { memory, length: bytes.length }
}

function encode(end: Exclude<ForwardEnd, { family: 'unix' }>, platform: 'linux' | 'darwin'): Uint8Array {
  const isIpv4 = end.family === 'ipv4'
  const bytes = new Uint8Array(isIpv4 ? 16 : 28)
  const view = new DataView(bytes.buffer)
  const family = isIpv4 ? AF_INET : AF_INET6[platform]
  if (platform === 'darwin') {
    bytes[0] = bytes.length
    bytes[1] = family
  } else {
    view.setUint16(0, family, true)
  }
  view.setUint16(2, end.port)
  if (isIpv4) view.setUint32(4, parseIpv4(end.address) as number)
  else bytes.set(parseIpv6(end.address) as Uint8Array, 8)
  return bytes
}

/** `struct in_addr` as the number that koffi puts into memory or a register. */
export function networkOrder(address: string): number {
  const number = parseIpv4(address) as number
  return (((number & 0xff) << 24) | ((number & 0xff00) << 8) | ((number >>> 8) & 0xff00) | (number >>> 24)) >>> 0
}

/** `struct in6_addr` as four numbers. */
export function networkWords(address: string): number[] {
  const view = new DataView((parseIpv6(address) as Uint8Array).buffer)
  return [0, 4, 8, 12].map(at => view.getUint32(at, true))
}
