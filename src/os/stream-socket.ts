/** Stream sockets: pairs, accepting, connecting, what became of them. Not on the data path, reading apart. */
import type { Layout } from './layout.js'
import * as libc from './libc.js'
import { NativeMemory } from './native-memory.js'
import { decodeInetAddress, encodeInetAddress, type InetAddress } from './sockaddr-in.js'

const POLLHUP_OR_ERR = 0x10 | 0x08
/** Linux only; on macOS POLLHUP says it. */
const POLLRDHUP = 0x2000

/** Two non-blocking unix stream sockets connected to each other. Throws where there are no descriptors left. */
export function streamPair(layout: Layout): [number, number] {
  const pair = new NativeMemory(8)
  const result = libc.orErrno(libc.socketpair(layout.constants.AF_UNIX, layout.constants.SOCK_STREAM, 0, pair.address))
  if (result < 0) throw new Error(`socketpair: errno ${-result}`)
  const [ours, theirs] = pair.words as unknown as [number, number]
  libc.nonBlocking(ours, layout.constants.O_NONBLOCK)
  libc.nonBlocking(theirs, layout.constants.O_NONBLOCK)
  return [ours, theirs]
}

/** A non-blocking stream socket, or a negated error number. */
export function openStream(layout: Layout, family: number): number {
  const fd = libc.orErrno(libc.socket(family, layout.constants.SOCK_STREAM, 0))
  if (fd >= 0) libc.nonBlocking(fd, layout.constants.O_NONBLOCK)
  return fd
}

/** Connections that wait to be accepted are at most this many; Linux caps it at net.core.somaxconn. */
const BACKLOG = 1024

export const listenForConnections = (fd: number): number => libc.orErrno(libc.listenSocket(fd, BACKLOG))

/** A socket that listens at an internet address, or a negated error number. */
export function listenAt(layout: Layout, address: InetAddress): number {
  const { inet, constants } = layout
  const isIpv4 = address.ip.length === 4
  const fd = openStream(layout, isIpv4 ? inet.AF_INET : inet.AF_INET6)
  if (fd < 0) return fd
  setOption(fd, constants.SOL_SOCKET, inet.SO_REUSEADDR, 1)
  if (!isIpv4) setOption(fd, inet.IPPROTO_IPV6, inet.IPV6_V6ONLY, 1)
  const bytes = encodeInetAddress(layout, address)
  const memory = new NativeMemory(bytes.length)
  memory.bytes.set(bytes)
  let result = libc.orErrno(libc.bindSocket(fd, memory.address, bytes.length))
  if (result >= 0) result = listenForConnections(fd)
  if (result >= 0) return fd
  libc.closeDescriptor(fd)
  return result
}

/** The internet address a socket is bound to. */
export const ownAddress = (layout: Layout, fd: number): InetAddress | undefined =>
  decodeInetAddress(layout, nameOf(libc.getsockname, fd))

/** The next connection that waits at a listening socket, non-blocking; a negated error number when there is none. */
export function acceptConnection(layout: Layout, fd: number): number {
  const accepted = libc.orErrno(libc.accept(fd, 0, 0))
  if (accepted >= 0) libc.nonBlocking(accepted, layout.constants.O_NONBLOCK)
  return accepted
}

/** A non-blocking stream socket that is connecting to this raw address, or a negated error number. */
export function dial(layout: Layout, family: number, address: Uint8Array): { fd: number; result: number } {
  const fd = openStream(layout, family)
  if (fd < 0) return { fd, result: fd }
  const memory = new NativeMemory(address.length)
  memory.bytes.set(address)
  return { fd, result: libc.orErrno(libc.connectSocket(fd, memory.address, address.length)) }
}

/** The error that waits at a socket; 0 for none. Asking takes it away. */
export function socketError(layout: Layout, fd: number): number {
  return getOption(fd, layout.constants.SOL_SOCKET, layout.constants.SO_ERROR) ?? 0
}

/** Whether the other end has gone, even if what it sent before was not read yet. */
export function hasHungUp(fd: number): boolean {
  const entry = new NativeMemory(8)
  entry.words[0] = fd
  entry.words[1] = POLLRDHUP
  return libc.pollDescriptors(entry.address, 1, 0) > 0 && ((entry.words[1] >>> 16) & (POLLHUP_OR_ERR | POLLRDHUP)) !== 0
}

const IPPROTO_TCP = 6
const TCP_NODELAY = 1

/** Frames wait for nobody: a short one is sent at once. */
export function setNoDelay(fd: number): void {
  setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1)
}

/**
 * A peer that is silent for so long is asked, three times; one that does not answer is gone. While something that was
 * sent waits to be acknowledged the kernel does not ask but sends it again, for a quarter of an hour: on macOS for as
 * long as given here, on Linux see `leavesUnanswered`.
 */
export function setKeepAlive(layout: Layout, fd: number, seconds: number): void {
  // include/uapi/linux/tcp.h; xnu bsd/netinet/tcp.h (TCP_KEEPALIVE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_RXT_CONNDROPTIME)
  // and bsd/sys/socket.h
  const darwin = layout.platform === 'darwin'
  const every = Math.max(1, Math.round(seconds / 3))
  setOption(fd, layout.constants.SOL_SOCKET, darwin ? 8 : 9, 1)
  setOption(fd, IPPROTO_TCP, darwin ? 0x10 : 4, seconds)
  setOption(fd, IPPROTO_TCP, darwin ? 0x101 : 5, every)
  setOption(fd, IPPROTO_TCP, darwin ? 0x102 : 6, 3)
  if (darwin) setOption(fd, IPPROTO_TCP, 0x80, 2 * seconds)
}

// struct tcp_info of include/uapi/linux/tcp.h: tcpi_retransmits and tcpi_probes are octets, the others words.
const TCP_INFO = 11
const RETRANSMITS = 2
const PROBES = 3
const UNACKED = 24 / 4
const LAST_DATA_RECEIVED = 52 / 4
const LAST_ACK_RECEIVED = 56 / 4
const TCP_INFO_BYTES = 60
/** One that got lost says nothing. */
const UNANSWERED_PROBES = 2
const tcpInfo = new NativeMemory(64 + 8)

/**
 * Whether what was sent to a TCP peer is not acknowledged, though it was sent again, and nothing was heard of the peer
 * for so long; milliseconds. A peer that has no room answers the question whether it has some now, so it is not meant,
 * however long it takes. That is why this is not TCP_USER_TIMEOUT, which ends both (net/ipv4/tcp_timer.c,
 * tcp_probe_timer). False where the kernel does not tell.
 */
export function leavesUnanswered(layout: Layout, fd: number, forMs: number): boolean {
  if (layout.platform !== 'linux') return false
  const { bytes, words, address } = tcpInfo
  words[16] = TCP_INFO_BYTES
  if (libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, address, address + 64) < 0) return false
  const isUnanswered = words[UNACKED] > 0 ? bytes[RETRANSMITS] > 0 : bytes[PROBES] >= UNANSWERED_PROBES
  return isUnanswered && Math.min(words[LAST_DATA_RECEIVED], words[LAST_ACK_RECEIVED]) >= forMs
}

/** Whether the socket is of an internet family, as far as one can tell from its address. */
export function isInternet(layout: Layout, fd: number): boolean {
  const address = nameOf(libc.getsockname, fd)
  return address.length > 0 && address[layout.sockaddrUn.familyOffset] !== layout.constants.AF_UNIX
}

/** The internet address of the other end. */
export const peerAddress = (layout: Layout, fd: number): InetAddress | undefined =>
  decodeInetAddress(layout, nameOf(libc.getpeername, fd))

/** Id of the process that connected to a unix socket; undefined where the kernel does not tell. */
export function peerProcess(layout: Layout, fd: number): number | undefined {
  if (layout.platform === 'darwin') return undefined
  const SO_PEERCRED = 17
  const memory = new NativeMemory(24)
  memory.words[4] = 12
  const result = libc.getsockopt(fd, layout.constants.SOL_SOCKET, SO_PEERCRED, memory.address, memory.address + 16)
  return result < 0 ? undefined : memory.words[0]
}

function nameOf(call: (fd: number, address: number, length: number) => number, fd: number): Uint8Array {
  const memory = new NativeMemory(136)
  memory.words[32] = 128
  if (call(fd, memory.address, memory.address + 128) < 0) return new Uint8Array(0)
  return memory.bytes.slice(0, memory.words[32])
}

function setOption(fd: number, level: number, name: number, value: number): void {
  const memory = new NativeMemory(8)
  memory.words[0] = value
  libc.setsockopt(fd, level, name, memory.address, 4)
}

/** What kind of socket a descriptor is; undefined when it is none. */
export function socketKind(
  layout: Layout,
  fd: number,
): { stream: boolean; listening: boolean; connected: boolean } | undefined {
  const darwin = layout.platform === 'darwin'
  const { SOL_SOCKET, SOCK_STREAM, SOCK_DGRAM } = layout.constants
  // SO_TYPE and SO_ACCEPTCONN: include/uapi/asm-generic/socket.h; xnu bsd/sys/socket.h
  const type = getOption(fd, SOL_SOCKET, darwin ? 0x1008 : 3)
  if (type !== SOCK_STREAM && type !== SOCK_DGRAM) return undefined
  const listening = getOption(fd, SOL_SOCKET, darwin ? 0x0002 : 30) === 1
  const address = new NativeMemory(136)
  address.words[32] = 128
  const connected = libc.getpeername(fd, address.address, address.address + 128) === 0
  return { stream: type === SOCK_STREAM, listening, connected }
}

function getOption(fd: number, level: number, name: number): number | undefined {
  const memory = new NativeMemory(16)
  memory.words[2] = 4
  return libc.getsockopt(fd, level, name, memory.address, memory.address + 8) < 0 ? undefined : memory.words[0]
}
