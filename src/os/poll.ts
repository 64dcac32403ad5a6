/**
 * poll(2), for kernels without epoll. It looks at every descriptor on each call, which is fine for the tens of VMs that
 * one Mac runs. It works on Linux too, so the tests run the data plane on both.
 */
import { errno, pollDescriptors } from './libc.js'
import { NativeMemory } from './native-memory.js'
import { MAX_READY, type Poller, READABLE, WRITABLE } from './poller.js'

// struct pollfd: int fd @0, short events @4, short revents @6. Linux and macOS agree on it and on these bits.
const POLLFD = 8
const POLLIN = 0x001
const POLLOUT = 0x004
const FAULT = 0x008 | 0x010 | 0x020 // POLLERR | POLLHUP | POLLNVAL
const EINTR = 4

export class Poll implements Poller {
  readonly tokens = new Int32Array(MAX_READY)
  readonly events = new Int32Array(MAX_READY)
  readonly descriptors: readonly number[] = []
  #entries = new NativeMemory(64 * POLLFD)
  #tokenOf: number[] = []
  readonly #place = new Map<number, number>()
  /**
   * Where the next report starts, so that the descriptors at the end get their turn when more than MAX_READY are ready.
   */
  #start = 0

  watch(fd: number, token: number, interest: number): void {
    let place = this.#place.get(fd)
    if (interest === 0) {
      if (place !== undefined) this.#remove(fd, place)
      return
    }
    if (place === undefined) {
      place = this.#tokenOf.length
      if ((place + 1) * POLLFD > this.#entries.bytes.length) this.#grow()
      this.#place.set(fd, place)
      this.#entries.words[place * 2] = fd
    }
    this.#tokenOf[place] = token
    this.#entries.words[place * 2 + 1] =
      ((interest & READABLE) !== 0 ? POLLIN : 0) | ((interest & WRITABLE) !== 0 ? POLLOUT : 0)
  }

  wait(timeoutMs: number): number {
    const watched = this.#tokenOf.length
    const ready = pollDescriptors(this.#entries.address, watched, timeoutMs)
    if (ready < 0) {
      if (errno() === EINTR) return 0
      throw new Error(`poll: errno ${errno()}`)
    }
    const { words } = this.#entries
    let count = 0
    let place = this.#start < watched ? this.#start : 0
    for (let seen = 0; seen < watched && count < ready && count < MAX_READY; seen++) {
      const returned = words[place * 2 + 1] >>> 16
      if (returned !== 0) {
        this.tokens[count] = this.#tokenOf[place]
        this.events[count] =
          (returned & FAULT) !== 0
            ? READABLE | WRITABLE
            : ((returned & POLLIN) !== 0 ? READABLE : 0) | ((returned & POLLOUT) !== 0 ? WRITABLE : 0)
        count++
      }
      place = place + 1 === watched ? 0 : place + 1
    }
    this.#start = place
    return count
  }

  close(): void {
    this.#tokenOf = []
    this.#place.clear()
  }

  #remove(fd: number, place: number): void {
    const last = this.#tokenOf.length - 1
    const { words } = this.#entries
    if (place !== last) {
      words[place * 2] = words[last * 2]
      words[place * 2 + 1] = words[last * 2 + 1]
      this.#tokenOf[place] = this.#tokenOf[last]
      this.#place.set(words[place * 2], place)
    }
    this.#tokenOf.pop()
    this.#place.delete(fd)
  }

  #grow(): void {
    const larger = new NativeMemory(this.#entries.bytes.length * 2)
    larger.bytes.set(this.#entries.bytes)
    this.#entries = larger
  }
}
