/**
 * A vector of messages for recvmmsg(2) and sendmmsg(2), or for a loop over recvmsg(2) and sendmsg(2).
 *
 *     header[i] ---- name  --> names + i * 112   (who sent it; or, when sending, any address the caller sets)
 *               \--- iov   --> iovecs + i * 16 --> one frame
 *
 * Everything is wired once, here. The loop writes lengths, and buffer addresses where a frame's place changed.
 */
import type { Layout } from './layout.js'
import { NativeMemory } from './native-memory.js'
import { SOCKADDR_UN_STORAGE } from './sockaddr-un.js'

const IOVEC = 16

export class MessageVector {
  readonly capacity: number
  readonly stride: number
  /** Address of the first header. */
  readonly address: number
  /** Lengths of received messages, for kernels that do not write them into the vector. */
  readonly #lengths: Int32Array
  readonly #headers: NativeMemory
  readonly #iovecs: NativeMemory
  readonly #names: NativeMemory | null
  readonly #layout: Layout['msghdr']

  /** With `names`, each header has room for an address; needed to receive from many peers. */
  constructor(layout: Layout, capacity: number, names: boolean) {
    this.capacity = capacity
    this.stride = layout.msghdr.stride
    this.#layout = layout.msghdr
    this.#headers = new NativeMemory(capacity * this.stride)
    this.#iovecs = new NativeMemory(capacity * IOVEC)
    this.#names = names ? new NativeMemory(capacity * SOCKADDR_UN_STORAGE) : null
    this.#lengths = new Int32Array(capacity)
    this.address = this.#headers.address
    for (let i = 0; i < capacity; i++) {
      const header = i * this.stride
      this.#headers.writePointer(header + this.#layout.iov, this.#iovecs.address + i * IOVEC)
      this.#headers.words[(header + this.#layout.iovLength) >> 2] = 1
      if (this.#names) this.setName(i, this.#names.address + i * SOCKADDR_UN_STORAGE, SOCKADDR_UN_STORAGE)
    }
  }

  setBuffer(i: number, address: number, length: number): void {
    const { words } = this.#iovecs
    const at = i << 2
    words[at] = address | 0
    words[at + 1] = Math.floor(address / 0x1_0000_0000)
    words[at + 2] = length
  }

  /** Where message `i` goes to; address 0 for a connected socket. */
  setName(i: number, address: number, length: number): void {
    this.#headers.writePointer(i * this.stride + this.#layout.name, address)
    this.#headers.words[(i * this.stride + this.#layout.nameLength) >> 2] = length
  }

  /** The kernel wrote the sender's length over the room; give the room back for the next call. */
  resetNames(count: number): void {
    const { words } = this.#headers
    for (let i = 0, at = this.#layout.nameLength >> 2; i < count; i++, at += this.stride >> 2) {
      words[at] = SOCKADDR_UN_STORAGE
    }
  }

  length(i: number): number {
    const { received } = this.#layout
    return received === null ? this.#lengths[i] : this.#headers.words[(i * this.stride + received) >> 2]
  }

  /** Used by the loop over recvmsg(2), which returns what recvmmsg(2) writes. */
  setLength(i: number, length: number): void {
    this.#lengths[i] = length
    const { received } = this.#layout
    if (received !== null) this.#headers.words[(i * this.stride + received) >> 2] = length
  }

  nameLength(i: number): number {
    return this.#headers.words[(i * this.stride + this.#layout.nameLength) >> 2]
  }

  /** All names as words, `SOCKADDR_UN_STORAGE / 4` for each message. */
  get nameWords(): Int32Array {
    return (this.#names as NativeMemory).words
  }

  /** The same as bytes, `SOCKADDR_UN_STORAGE` for each message. */
  get nameBytes(): Uint8Array {
    return (this.#names as NativeMemory).bytes
  }

  /** A copy of the sender's address. */
  name(i: number): Uint8Array {
    const start = i * SOCKADDR_UN_STORAGE
    return (this.#names as NativeMemory).bytes.slice(start, start + Math.min(this.nameLength(i), SOCKADDR_UN_STORAGE))
  }
}
