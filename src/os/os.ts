/**
 * What the rest of the program asks of the kernel. One object per platform, same names; nothing outside src/os knows
 * which one it has.
 *
 * Calls return 0 or more, or a negated error number: on the data path an error is an answer, not an exception.
 */
import { Epoll } from './epoll.js'
import { darwinLayout, type Layout, linuxLayout } from './layout.js'
import * as libc from './libc.js'
import type { MessageVector } from './message-vector.js'
import { Poll } from './poll.js'
import type { Poller } from './poller.js'
import { EventfdWaker, PipeWaker, type Waker } from './waker.js'

/** Message headers one behind the other: a MessageVector, a SegmentVector. */
export interface Messages {
  /** Of the first header. */
  readonly address: number
  /** Bytes from one header to the next. */
  readonly stride: number
}

export interface Os {
  readonly layout: Layout
  createPoller(): Poller
  createWaker(): Waker
  /**
   * Fills the vector's first `count` messages without blocking and returns how many came, or a negated error number.
   * Lengths and names are then in the vector. A length is that of the datagram as it was sent, also where the buffer
   * took less (on macOS the length of the buffer).
   */
  receiveMessages(fd: number, vector: MessageVector, count: number): number
  /**
   * Sends the vector's first `count` messages without blocking and returns how many the kernel took from the front, or
   * a negated error number if it did not even take the first.
   */
  sendMessages(fd: number, vector: Messages, count: number): number
  /** Reads from a stream socket without blocking. Returns the bytes read, 0 at the end, or a negated error number. */
  receiveBytes(fd: number, address: number, length: number): number
}

const RECEIVE_FLAGS = linuxLayout.constants.MSG_DONTWAIT | linuxLayout.constants.MSG_TRUNC

/** One call for the whole vector (recvmmsg(2), sendmmsg(2)). */
class LinuxOs implements Os {
  readonly layout = linuxLayout
  readonly #recvmmsg = libc.libc.func(
    'int recvmmsg(int fd, uintptr_t headers, unsigned int count, int flags, uintptr_t timeout)',
  ) as unknown as (...args: number[]) => number
  readonly #sendmmsg = libc.libc.func(
    'int sendmmsg(int fd, uintptr_t headers, unsigned int count, int flags)',
  ) as unknown as (...args: number[]) => number

  createPoller(): Poller {
    return new Epoll()
  }

  createWaker(): Waker {
    return new EventfdWaker()
  }

  receiveMessages(fd: number, vector: MessageVector, count: number): number {
    return libc.orErrno(this.#recvmmsg(fd, vector.address, count, RECEIVE_FLAGS, 0))
  }

  sendMessages(fd: number, vector: Messages, count: number): number {
    return libc.orErrno(this.#sendmmsg(fd, vector.address, count, linuxLayout.constants.MSG_DONTWAIT))
  }

  receiveBytes(fd: number, address: number, length: number): number {
    return libc.orErrno(libc.recv(fd, address, length, linuxLayout.constants.MSG_DONTWAIT))
  }
}

/**
 * One call for each message. macOS has recvmsg_x and sendmsg_x, but they are private and "subject to change", and
 * sendmsg_x builds one list only for connected sockets; so the public calls are used until a Mac has shown the
 * difference.
 */
export class PortableOs implements Os {
  readonly layout: Layout

  constructor(layout: Layout) {
    this.layout = layout
  }

  createPoller(): Poller {
    return new Poll()
  }

  createWaker(): Waker {
    return new PipeWaker(this.layout.constants.O_NONBLOCK)
  }

  receiveMessages(fd: number, vector: MessageVector, count: number): number {
    const { MSG_DONTWAIT, MSG_TRUNC } = this.layout.constants
    for (let i = 0; i < count; i++) {
      const length = libc.recvmsg(fd, vector.address + i * vector.stride, MSG_DONTWAIT | MSG_TRUNC)
      if (length < 0) return i > 0 ? i : -libc.errno()
      vector.setLength(i, length)
    }
    return count
  }

  sendMessages(fd: number, vector: Messages, count: number): number {
    for (let i = 0; i < count; i++) {
      const sent = libc.sendmsg(fd, vector.address + i * vector.stride, this.layout.constants.MSG_DONTWAIT)
      if (sent < 0) return i > 0 ? i : -libc.errno()
    }
    return count
  }

  receiveBytes(fd: number, address: number, length: number): number {
    return libc.orErrno(libc.recv(fd, address, length, this.layout.constants.MSG_DONTWAIT))
  }
}

/** The layout of the platform this runs on. Throws on platforms the switch does not support. */
export function platformLayout(platform: NodeJS.Platform = process.platform): Layout {
  if (platform === 'linux') return linuxLayout
  if (platform === 'darwin') return darwinLayout
  throw new Error(`${platform} is not supported: linux and darwin are`)
}

/** Chooses once. TAPSWITCH_OS=portable runs the loop over single calls and poll(2) on Linux, to test them. */
export function createOs(): Os {
  const layout = platformLayout()
  if (layout.platform === 'linux' && process.env.TAPSWITCH_OS !== 'portable') return new LinuxOs()
  // What macOS has not is not used on Linux either, when that stands in for it.
  return new PortableOs({
    ...layout,
    inet: { ...layout.inet, UDP_SEGMENT: null, SO_ATTACH_FILTER: null, SO_ATTACH_REUSEPORT_CBPF: null },
  })
}

/** Descriptors of one thread that another may have to close. */
export function closeAll(descriptors: Iterable<number>): void {
  for (const fd of descriptors) libc.closeDescriptor(fd)
}
