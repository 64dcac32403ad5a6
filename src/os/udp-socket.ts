/**
 * UDP sockets: opening, binding, groups, what must not be fragmented, what was lost. Not on the data path.
 *
 * Calls return 0 or more, or a negated error number.
 */
import type { Layout } from './layout.js'
import * as libc from './libc.js'
import { NativeMemory } from './native-memory.js'
import { decodeInetAddress, encodeInetAddress, type InetAddress, SOCKADDR_IN6 } from './sockaddr-in.js'

export type IpFamily = 4 | 6

/** A non-blocking socket for one family; an IPv6 socket takes no IPv4. */
export function openUdp(layout: Layout, family: IpFamily): number {
  const { AF_INET, AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY } = layout.inet
  const fd = libc.orErrno(libc.socket(family === 4 ? AF_INET : AF_INET6, layout.constants.SOCK_DGRAM, 0))
  if (fd < 0) return fd
  libc.nonBlocking(fd, layout.constants.O_NONBLOCK)
  if (family === 6) setNumber(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)
  return fd
}

export function bindUdp(layout: Layout, fd: number, address: InetAddress): number {
  const memory = memoryOf(encodeInetAddress(layout, address))
  return libc.orErrno(libc.bindSocket(fd, memory.address, memory.length))
}

export function connectUdp(layout: Layout, fd: number, address: InetAddress): number {
  const memory = memoryOf(encodeInetAddress(layout, address))
  return libc.orErrno(libc.connectSocket(fd, memory.address, memory.length))
}

/** What the socket is bound to; the port the kernel chose where it was bound to port 0. */
export function localAddress(layout: Layout, fd: number): InetAddress | undefined {
  const memory = new NativeMemory(40)
  memory.words[8] = SOCKADDR_IN6
  if (libc.getsockname(fd, memory.address, memory.address + 32) < 0) return undefined
  return decodeInetAddress(layout, memory.bytes.slice(0, memory.words[8]))
}

/**
 * What is longer than the path's MTU is refused (EMSGSIZE) and carries the mark that routers do not cut it either; or
 * not.
 */
export function dontFragment({ inet }: Layout, fd: number, family: IpFamily, on: boolean): number {
  const { option, on: yes, off: no } = family === 4 ? inet.IP_DONTFRAG : inet.IPV6_DONTFRAG
  return setNumber(fd, family === 4 ? inet.IPPROTO_IP : inet.IPPROTO_IPV6, option, on ? yes : no)
}

/** Lets several sockets of this machine be bound to one group and port. */
export function shareAddress({ inet, constants, platform }: Layout, fd: number): number {
  const result = setNumber(fd, constants.SOL_SOCKET, inet.SO_REUSEADDR, 1)
  // BSD wants the other one for groups as well.
  return platform === 'darwin' ? setNumber(fd, constants.SOL_SOCKET, inet.SO_REUSEPORT, 1) : result
}

/**
 * Lets sockets of this user be bound to one address, which the kernel spreads datagrams over; all of them have to ask
 * for it.
 */
export function sharePort({ inet, constants }: Layout, fd: number, on: boolean): number {
  return setNumber(fd, constants.SOL_SOCKET, inet.SO_REUSEPORT, on ? 1 : 0)
}

/** By which interface a group is reached: an address of it for IPv4, its number for IPv6; null: the system chooses. */
export interface GroupInterface {
  readonly ipv4: Uint8Array | null
  readonly index: number
}

export function joinGroup({ inet }: Layout, fd: number, group: Uint8Array, by: GroupInterface): number {
  if (group.length === 4) {
    if (inet.IP_MULTICAST_ALL !== null) setNumber(fd, inet.IPPROTO_IP, inet.IP_MULTICAST_ALL, 0)
    const request = memoryOf(concat(group, by.ipv4 ?? new Uint8Array(4)))
    return set(fd, inet.IPPROTO_IP, inet.IP_ADD_MEMBERSHIP, request)
  }
  if (inet.IPV6_MULTICAST_ALL !== null) setNumber(fd, inet.IPPROTO_IPV6, inet.IPV6_MULTICAST_ALL, 0)
  const index = new Uint8Array(4)
  new DataView(index.buffer).setUint32(0, by.index, true)
  return set(fd, inet.IPPROTO_IPV6, inet.IPV6_JOIN_GROUP, memoryOf(concat(group, index)))
}

export interface GroupSending {
  readonly by: GroupInterface
  /** Routers it may cross, plus one. */
  readonly ttl: number
  /** Whether members on this machine get it too. */
  readonly loop: boolean
}

export function sendToGroups({ inet }: Layout, fd: number, family: IpFamily, options: GroupSending): number {
  const { by, ttl, loop } = options
  const level = family === 4 ? inet.IPPROTO_IP : inet.IPPROTO_IPV6
  const results = [
    setNumber(fd, level, family === 4 ? inet.IP_MULTICAST_TTL : inet.IPV6_MULTICAST_HOPS, ttl),
    setNumber(fd, level, family === 4 ? inet.IP_MULTICAST_LOOP : inet.IPV6_MULTICAST_LOOP, loop ? 1 : 0),
  ]
  if (family === 6 && by.index !== 0) results.push(setNumber(fd, level, inet.IPV6_MULTICAST_IF, by.index))
  if (family === 4 && by.ipv4 !== null) results.push(set(fd, level, inet.IP_MULTICAST_IF, memoryOf(by.ipv4)))
  return results.find(result => result < 0) ?? 0
}

/**
 * Bytes of IP packet that the path to this address takes, as far as the kernel knows; undefined where it does not say.
 */
export function pathMtu(layout: Layout, to: InetAddress): number | undefined {
  const { IP_MTU, IPV6_MTU, IPPROTO_IP, IPPROTO_IPV6 } = layout.inet
  const isIpv4 = to.ip.length === 4
  const option = isIpv4 ? IP_MTU : IPV6_MTU
  if (option === null) return undefined
  const fd = openUdp(layout, isIpv4 ? 4 : 6)
  if (fd < 0) return undefined
  const memory = new NativeMemory(16)
  memory.words[2] = 4
  const known =
    connectUdp(layout, fd, to) >= 0 &&
    libc.getsockopt(fd, isIpv4 ? IPPROTO_IP : IPPROTO_IPV6, option, memory.address, memory.address + 8) >= 0
  libc.closeDescriptor(fd)
  return known ? memory.words[0] : undefined
}

const MEMINFO = new NativeMemory(64)
/** SK_MEMINFO_DROPS, include/uapi/linux/sock_diag.h. */
const DROPS = 8

/** Datagrams that the kernel threw away because this socket's buffer was full; modulo 2^32, 0 where it does not say. */
export function receiveOverflows({ inet, constants }: Layout, fd: number): number {
  if (inet.SO_MEMINFO === null) return 0
  MEMINFO.words[12] = 48
  const result = libc.getsockopt(fd, constants.SOL_SOCKET, inet.SO_MEMINFO, MEMINFO.address, MEMINFO.address + 48)
  return result < 0 ? 0 : MEMINFO.words[DROPS] >>> 0
}

/** Number of the interface with this name, 0 when there is none. */
export function interfaceIndex(name: string): number {
  const memory = memoryOf(concat(Buffer.from(name), Uint8Array.of(0)))
  return libc.if_nametoindex(memory.address)
}

interface Placed {
  /** Kept: the address is of its content. */
  readonly memory: NativeMemory
  readonly address: number
  readonly length: number
}

function memoryOf(bytes: Uint8Array): Placed {
  const memory = new NativeMemory(bytes.length)
  memory.bytes.set(bytes)
  return { memory, address: memory.address, length: bytes.length }
}

function set(fd: number, level: number, option: number, value: Placed): number {
  return libc.orErrno(libc.setsockopt(fd, level, option, value.address, value.length))
}

function setNumber(fd: number, level: number, option: number, value: number): number {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, value, true)
  return set(fd, level, option, memoryOf(bytes))
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length)
  bytes.set(a)
  bytes.set(b, a.length)
  return bytes
}
