/** epoll(7). One wait costs the same for two descriptors and for a thousand. */
import { closeDescriptor, errno, libc } from './libc.js'
import { NativeMemory } from './native-memory.js'
import { MAX_READY, type Poller, READABLE, WRITABLE } from './poller.js'

const EPOLLIN = 0x001
const EPOLLOUT = 0x004
const EPOLLERR = 0x008
const EPOLLHUP = 0x010
const CTL_ADD = 1
const CTL_DEL = 2
const CTL_MOD = 3
const EPOLL_CLOEXEC = 0x80000
const EINTR = 4

// struct epoll_event is packed on x86_64 only (include/uapi/linux/eventpoll.h, EPOLL_PACKED).
const EVENT_SIZE = process.arch === 'x64' ? 12 : 16
const DATA = process.arch === 'x64' ? 4 : 8

type Call = (...args: number[]) => number

export class Epoll implements Poller {
  readonly tokens = new Int32Array(MAX_READY)
  readonly events = new Int32Array(MAX_READY)
  readonly #fd: number
  readonly #ready = new NativeMemory(MAX_READY * EVENT_SIZE)
  readonly #change = new NativeMemory(EVENT_SIZE)
  readonly #watched = new Set<number>()
  readonly #ctl: Call
  readonly #wait: Call

  constructor() {
    const create = libc.func('int epoll_create1(int flags)') as unknown as Call
    this.#ctl = libc.func('int epoll_ctl(int epfd, int op, int fd, uintptr_t event)') as unknown as Call
    this.#wait = libc.func('int epoll_wait(int epfd, uintptr_t events, int max, int timeout)') as unknown as Call
    this.#fd = create(EPOLL_CLOEXEC)
    if (this.#fd < 0) throw new Error(`epoll_create1: errno ${errno()}`)
  }

  get descriptors(): readonly number[] {
    return [this.#fd]
  }

  watch(fd: number, token: number, interest: number): void {
    const watched = this.#watched.has(fd)
    if (interest === 0) {
      // Not CTL_MOD with no events: errors and hang-ups would still be reported, for ever.
      this.#watched.delete(fd)
      if (watched) this.#control(CTL_DEL, fd, 0, 0)
      return
    }
    this.#control(watched ? CTL_MOD : CTL_ADD, fd, token, interest)
    this.#watched.add(fd)
  }

  wait(timeoutMs: number): number {
    const count = this.#wait(this.#fd, this.#ready.address, MAX_READY, timeoutMs)
    if (count < 0) {
      if (errno() === EINTR) return 0
      throw new Error(`epoll_wait: errno ${errno()}`)
    }
    const { words } = this.#ready
    for (let i = 0, at = 0; i < count; i++, at += EVENT_SIZE >> 2) {
      const mask = words[at]
      this.tokens[i] = words[at + (DATA >> 2)]
      this.events[i] =
        (mask & (EPOLLERR | EPOLLHUP)) !== 0
          ? READABLE | WRITABLE
          : ((mask & EPOLLIN) !== 0 ? READABLE : 0) | ((mask & EPOLLOUT) !== 0 ? WRITABLE : 0)
    }
    return count
  }

  close(): void {
    closeDescriptor(this.#fd)
  }

  #control(operation: number, fd: number, token: number, interest: number): void {
    const { words } = this.#change
    words[0] = ((interest & READABLE) !== 0 ? EPOLLIN : 0) | ((interest & WRITABLE) !== 0 ? EPOLLOUT : 0)
    words[DATA >> 2] = token
    if (this.#ctl(this.#fd, operation, fd, this.#change.address) < 0) {
      throw new Error(`epoll_ctl ${operation} of descriptor ${fd}: errno ${errno()}`)
    }
  }
}
