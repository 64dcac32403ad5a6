/**
 * The descriptors of one turn, for poll(2). Filled anew each turn, as libslirp wants it: which of its sockets it waits
 * for depends on how full their buffers are.
 */
import { errno, pollDescriptors } from '../os/libc.js'
import { NativeMemory } from '../os/native-memory.js'

// struct pollfd: int fd @0, short events @4, short revents @6. Linux and macOS agree on it and on these bits.
const POLLFD = 8
export const POLLIN = 0x001
export const POLLPRI = 0x002
export const POLLOUT = 0x004
export const POLLERR = 0x008
export const POLLHUP = 0x010
const EINTR = 4

export class PollSet {
  #entries = new NativeMemory(64 * POLLFD)
  #words = this.#entries.words
  #count = 0

  /** How many were added since the last `clear`. */
  get size(): number {
    return this.#count
  }

  clear(): void {
    this.#count = 0
  }

  /** Returns its place, for `returned`. */
  add(fd: number, events: number): number {
    const place = this.#count++
    if (place * 2 >= this.#words.length) this.#grow()
    this.#words[place * 2] = fd
    this.#words[place * 2 + 1] = events
    return place
  }

  /** Returns false where it could not tell what is ready. */
  wait(timeoutMs: number): boolean {
    const ready = pollDescriptors(this.#entries.address, this.#count, timeoutMs)
    if (ready > 0) return true
    for (let place = 0; place < this.#count; place++) this.#words[place * 2 + 1] &= 0xffff
    if (ready < 0 && errno() !== EINTR) throw new Error(`poll: errno ${errno()}`)
    return ready === 0
  }

  /** What the kernel said of the descriptor at this place. */
  returned(place: number): number {
    return this.#words[place * 2 + 1] >>> 16
  }

  #grow(): void {
    const larger = new NativeMemory(this.#entries.bytes.length * 2)
    larger.bytes.set(this.#entries.bytes)
    this.#entries = larger
    this.#words = larger.words
  }
}
