/** Ranges of memory that sendmsg(2) sends as one: what a stream needs to send frames from where they lie. */
import type { Layout } from './layout.js'
import * as libc from './libc.js'
import { NativeMemory } from './native-memory.js'

/** IOV_MAX of both kernels: more in one call is an error. */
export const MAX_RANGES = 1024
const IOVEC = 16

export class GatherVector {
  readonly #header: NativeMemory
  readonly #iovecs: NativeMemory
  readonly #words: Int32Array
  readonly #lengthWord: number
  readonly #flags: number

  constructor(layout: Layout) {
    this.#header = new NativeMemory(layout.msghdr.stride)
    this.#iovecs = new NativeMemory(MAX_RANGES * IOVEC)
    this.#words = this.#iovecs.words
    this.#lengthWord = layout.msghdr.iovLength >> 2
    this.#flags = layout.constants.MSG_DONTWAIT | layout.constants.MSG_NOSIGNAL
    this.#header.writePointer(layout.msghdr.iov, this.#iovecs.address)
  }

  set(i: number, address: number, length: number): void {
    const at = i << 2
    this.#words[at] = address | 0
    this.#words[at + 1] = Math.floor(address / 0x1_0000_0000)
    this.#words[at + 2] = length
  }

  /** Sends the first `count` ranges without blocking. Returns the bytes the kernel took, or a negated error number. */
  send(fd: number, count: number): number {
    this.#header.words[this.#lengthWord] = count
    return libc.orErrno(libc.sendmsg(fd, this.#header.address, this.#flags))
  }
}
