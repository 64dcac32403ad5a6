/** Datagram sockets in the unix domain: opening, binding, connecting, sizing. Not on the data path. */
import type { Layout } from './layout.js'
import * as libc from './libc.js'
import { NativeMemory } from './native-memory.js'
import { encodeUnixAddress, SOCKADDR_UN_STORAGE } from './sockaddr-un.js'

/** A non-blocking socket, or a negated error number. */
export function openUnixDatagram(layout: Layout): number {
  const { AF_UNIX, SOCK_DGRAM, O_NONBLOCK } = layout.constants
  const fd = libc.orErrno(libc.socket(AF_UNIX, SOCK_DGRAM, 0))
  if (fd >= 0) libc.nonBlocking(fd, O_NONBLOCK)
  return fd
}

/** Gives a socket a path. The file is made with the process's umask. */
export function bindUnix(layout: Layout, fd: number, path: string): number {
  const address = place(encodeUnixAddress(layout, path))
  return libc.orErrno(libc.bindSocket(fd, address.address, address.length))
}

/**
 * Connects to the socket with this raw address. Repeating it on a live peer changes nothing, so it is also the probe.
 */
export function connectUnix(fd: number, address: Uint8Array): number {
  const placed = place(address)
  return libc.orErrno(libc.connectSocket(fd, placed.address, placed.length))
}

/** Dissolves an association (connect(2) with AF_UNSPEC), so that the socket hears everyone again. */
export function disconnectUnix(layout: Layout, fd: number): number {
  const unspecified = new Uint8Array(16)
  if (layout.platform === 'darwin') unspecified[0] = 16
  return connectUnix(fd, unspecified)
}

/** Sends one small datagram on a connected socket. */
export function sendUnix(layout: Layout, fd: number, payload: Uint8Array): number {
  const memory = new NativeMemory(payload.length)
  memory.bytes.set(payload)
  return libc.orErrno(libc.send(fd, memory.address, payload.length, layout.constants.MSG_DONTWAIT))
}

/**
 * Asks for buffer sizes in bytes and returns what the kernel granted. Linux doubles the number for its own bookkeeping
 * and caps it at net.core.?mem_max unless the caller may force it; macOS refuses what is over kern.ipc.maxsockbuf, so
 * smaller sizes are tried.
 */
export function sizeSocketBuffers(layout: Layout, fd: number, sendBytes: number, receiveBytes: number): void {
  const { SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE } = layout.constants
  setSize(layout, fd, SO_SNDBUFFORCE, SO_SNDBUF, sendBytes)
  setSize(layout, fd, SO_RCVBUFFORCE, SO_RCVBUF, receiveBytes)
}

/** The send buffer as the kernel counts it, in bytes. */
export function sendBufferSize(layout: Layout, fd: number): number {
  const memory = new NativeMemory(16)
  memory.words[2] = 4
  libc.getsockopt(fd, layout.constants.SOL_SOCKET, layout.constants.SO_SNDBUF, memory.address, memory.address + 8)
  return memory.words[0]
}

/**
 * Bytes that were sent on the socket and not read yet, by any receiver, as the kernel charges them to its send buffer;
 * 0 where it does not tell. `memory` takes the answer: 4 bytes.
 */
export function unreadBytes({ constants: { SIOCOUTQ } }: Layout, fd: number, memory: NativeMemory): number {
  if (SIOCOUTQ === null || libc.ioctl(fd, SIOCOUTQ, memory.address) < 0) return 0
  return memory.words[0]
}

function setSize(layout: Layout, fd: number, force: number | null, option: number, bytes: number): void {
  const value = new NativeMemory(8)
  const { SOL_SOCKET } = layout.constants
  for (let size = bytes; size >= 16384; size >>= 1) {
    value.words[0] = size
    if (force !== null && libc.setsockopt(fd, SOL_SOCKET, force, value.address, 4) === 0) return
    if (libc.setsockopt(fd, SOL_SOCKET, option, value.address, 4) === 0) return
  }
}

// connect and bind copy the address before they return, so one place serves every call of this thread.
const storage = new NativeMemory(SOCKADDR_UN_STORAGE + 16)

function place(address: Uint8Array): { address: number; length: number } {
  storage.bytes.set(address)
  return { address: storage.address, length: address.length }
}

export const closeSocket = (fd: number): void => {
  libc.closeDescriptor(fd)
}
