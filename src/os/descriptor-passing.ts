/**
 * Hands a descriptor to another process over a unix socket (SCM_RIGHTS, unix(7)). The receiver gets a descriptor of its
 * own for the same open file; the sender may close its one at once. One byte goes with it, because a stream carries no
 * message without one.
 *
 * struct cmsghdr: Linux has a length of 8 bytes, macOS of 4; then level, type and the descriptor
 * (include/linux/socket.h; xnu bsd/sys/socket.h).
 */
import type { Layout } from './layout.js'
import * as libc from './libc.js'
import { NativeMemory } from './native-memory.js'

const SCM_RIGHTS = 1

class Message {
  readonly header = new NativeMemory(64)
  readonly control = new NativeMemory(32)
  readonly #iov = new NativeMemory(16)
  readonly #byte = new NativeMemory(8)
  readonly #lengthBytes: number

  constructor(layout: Layout) {
    const { msghdr, platform } = layout
    this.#lengthBytes = platform === 'darwin' ? 4 : 8
    this.#iov.writePointer(0, this.#byte.address)
    this.#iov.words[2] = 1
    this.header.writePointer(msghdr.iov, this.#iov.address)
    this.header.words[msghdr.iovLength >> 2] = 1
    this.header.writePointer(msghdr.control, this.control.address)
    this.header.words[msghdr.controlLength >> 2] = this.space
  }

  /** Word of `control` where level begins; type and descriptor follow. */
  get level(): number {
    return this.#lengthBytes >> 2
  }

  get length(): number {
    return this.#lengthBytes + 12
  }

  /** CMSG_SPACE of one descriptor. */
  get space(): number {
    return Math.ceil(this.length / this.#lengthBytes) * this.#lengthBytes
  }
}

/** Returns 0 or a negated error number. */
export function sendDescriptor(layout: Layout, socket: number, fd: number): number {
  const message = new Message(layout)
  const { words } = message.control
  words[0] = message.length
  words.set([layout.constants.SOL_SOCKET, SCM_RIGHTS, fd], message.level)
  const { MSG_DONTWAIT, MSG_NOSIGNAL } = layout.constants
  return Math.min(0, libc.orErrno(libc.sendmsg(socket, message.header.address, MSG_DONTWAIT | MSG_NOSIGNAL)))
}

/**
 * The descriptor that came next, kept from child processes; null when there is none now; undefined when the other end
 * is closed.
 */
export function receiveDescriptor(layout: Layout, socket: number): number | null | undefined {
  const message = new Message(layout)
  const count = libc.recvmsg(socket, message.header.address, layout.constants.MSG_DONTWAIT)
  if (count === 0) return undefined
  if (count < 0) return null
  const { words } = message.control
  const arrived = message.header.words[layout.msghdr.controlLength >> 2]
  if (arrived < message.length || words[message.level + 1] !== SCM_RIGHTS) return null
  const fd = words[message.level + 2]
  libc.nonBlocking(fd, layout.constants.O_NONBLOCK)
  return fd
}
