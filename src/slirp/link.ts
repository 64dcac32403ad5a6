/**
 * The stack's end of the socketpair that joins it to the data plane. Frames have a length of four bytes, big-endian, in
 * front, as on QEMU's stream netdev.
 *
 * Reads are large: one fills a buffer with whatever has gathered, and frames are handed on from where they lie. What
 * the stack sends is gathered in another buffer and written once a turn. When the data plane does not keep up, the
 * buffer fills; `isCongested` says so long before, and the loop then stops reading from the host's sockets, so that TCP
 * slows down instead of losing. What comes all the same and does not fit is dropped and counted.
 */
import { closeDescriptor, errno, libc, read, write } from '../os/libc.js'
import { NativeMemory } from '../os/native-memory.js'
import type { SlirpCounters } from './shared-state.js'

/** No frame of a guest is longer; a longer one means that the stream is out of step. */
const MAX_FRAME = 65_550
const PREFIX = 4
const IN_BYTES = 512 * 1024
const OUT_BYTES = 4 * 1024 * 1024
/** With this much unsent. 256 KiB are some 170 full frames. */
const CONGESTED_BYTES = 256 * 1024

const copy = libc.func('void memcpy(uintptr_t to, uintptr_t from, size_t length)') as unknown as (
  to: number,
  from: number,
  length: number,
) => void

/** A frame from the data plane: where it is in `bytes`, and its address for C. Valid until it returns. */
export type FrameHandler = (bytes: Uint8Array, offset: number, length: number, address: number) => void

export class SlirpLink {
  readonly #in = new NativeMemory(IN_BYTES)
  readonly #out = new NativeMemory(OUT_BYTES)
  readonly #inBytes = this.#in.bytes
  readonly #outBytes = this.#out.bytes
  readonly #counters: SlirpCounters
  #fd: number
  /** Of the incoming buffer: bytes from 0 that are not handed on yet, always less than a frame between turns. */
  #inLength = 0
  #outStart = 0
  #outEnd = 0

  constructor(fd: number, counters: SlirpCounters) {
    this.#fd = fd
    this.#counters = counters
  }

  get fd(): number {
    return this.#fd
  }

  /** Bytes that `append` copies frames to. */
  get sent(): Uint8Array {
    return this.#outBytes
  }

  get pending(): number {
    return this.#outEnd - this.#outStart
  }

  get isCongested(): boolean {
    return this.#outEnd - this.#outStart > CONGESTED_BYTES
  }

  /** Goes on with another socket, from the beginning of a frame; closes the one before. -1: there is none for now. */
  join(fd: number): void {
    if (this.#fd >= 0) closeDescriptor(this.#fd)
    this.#fd = fd
    this.#inLength = 0
    this.#outStart = 0
    this.#outEnd = 0
  }

  /** Reads once and hands on what is complete. */
  receive(handle: FrameHandler): void {
    if (this.#fd < 0) return
    const count = read(this.#fd, this.#in.address + this.#inLength, IN_BYTES - this.#inLength)
    if (count <= 0) {
      // End of file: the other end is closed, and a new socket is on its way.
      if (count === 0) this.join(-1)
      return
    }
    const end = this.#inLength + count
    const bytes = this.#inBytes
    let at = 0
    while (end - at >= PREFIX) {
      const length = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
      if (length <= 0 || length > MAX_FRAME)
        throw new Error(`a frame of ${length} bytes: out of step with the data plane`)
      if (end - at - PREFIX < length) break
      handle(bytes, at + PREFIX, length, this.#in.address + at + PREFIX)
      at += PREFIX + length
    }
    if (at > 0 && at < end) bytes.copyWithin(0, at, end)
    this.#inLength = end - at
  }

  /** Takes a copy of a frame that the stack sends. Returns where in `sent` it lies; -1 where there was no room. */
  append(address: number, length: number): number {
    let end = this.#outEnd
    if (end + PREFIX + length > OUT_BYTES) {
      this.#toFront()
      end = this.#outEnd
      if (end + PREFIX + length > OUT_BYTES || length > MAX_FRAME) {
        this.#counters.dropped()
        return -1
      }
    }
    const bytes = this.#outBytes
    bytes[end] = 0
    bytes[end + 1] = length >>> 16
    bytes[end + 2] = length >>> 8
    bytes[end + 3] = length
    copy(this.#out.address + end + PREFIX, address, length)
    this.#outEnd = end + PREFIX + length
    return end + PREFIX
  }

  /** Writes what the socket takes. */
  flush(): void {
    if (this.#outStart === this.#outEnd || this.#fd < 0) return
    const written = write(this.#fd, this.#out.address + this.#outStart, this.#outEnd - this.#outStart)
    if (written < 0) {
      this.#failed(errno())
      return
    }
    this.#outStart += written
    if (this.#outStart === this.#outEnd) {
      this.#outStart = 0
      this.#outEnd = 0
    }
  }

  #failed(error: number): void {
    // EAGAIN is 11 on Linux and 35 on macOS, ENOBUFS 105 and 55; EPIPE and ECONNRESET show as end of file, too.
    const EPIPE = 32
    if (error === EPIPE) this.join(-1)
  }

  #toFront(): void {
    if (this.#outStart === 0) return
    this.#outBytes.copyWithin(0, this.#outStart, this.#outEnd)
    this.#outEnd -= this.#outStart
    this.#outStart = 0
  }
}
