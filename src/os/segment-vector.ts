/**
 * Messages for sendmmsg(2) in which a run of frames is one message: UDP segmentation offload (UDP_SEGMENT, Linux 4.18;
 * udp(7)). The kernel carries the run through its network stack as one packet and cuts it at the end into datagrams of
 * equal size, the last of which may be shorter. On loopback a datagram of 1514 bytes costs 0.5 us so, 2.5 us otherwise.
 *
 *     header[m] ---- name, iov, control --> cmsg: size of a datagram
 *                           \--> iovecs of its first frame, of the next ...        (each: prefix and frame, or the frame alone)
 *
 * Where the layout knows no UDP_SEGMENT every frame is a message of its own.
 */
import type { Layout } from './layout.js'
import { NativeMemory } from './native-memory.js'

const IOVEC = 16
/** Kernels before 6.9 take 64 segments of a message (UDP_MAX_SEGMENTS). */
const MAX_SEGMENTS = 64
/** Bytes of one message; the IP packet it becomes has a length of 16 bits. */
const MAX_BYTES = 65_000
/** struct cmsghdr with a u16 behind it: length @0, level @8, type @12, data @16. */
const CONTROL = 24
const CONTROL_LENGTH = 18

export class SegmentVector {
  /** Messages now. */
  count = 0
  readonly stride: number
  /** Address of the first header. */
  readonly address: number
  /** Frames in each message. */
  readonly frames: Int32Array
  readonly #size: Int32Array
  readonly #lastSize: Int32Array
  readonly #bytes: Int32Array
  readonly #layout: Layout['msghdr']
  readonly #headers: NativeMemory
  readonly #iovecs: NativeMemory
  readonly #controls: NativeMemory
  readonly #parts: number
  readonly #prefixLength: number
  /** Kept: the iovecs hold its address. */
  readonly prefix: NativeMemory | undefined
  readonly #canJoin: boolean
  #placed = 0

  /** `prefix`: bytes that are sent in front of every frame. */
  constructor(layout: Layout, capacity: number, prefix?: NativeMemory) {
    const { UDP_SEGMENT } = layout.inet
    this.#layout = layout.msghdr
    this.stride = layout.msghdr.stride
    this.prefix = prefix
    this.#prefixLength = prefix?.bytes.length ?? 0
    this.#parts = prefix === undefined ? 1 : 2
    this.#canJoin = UDP_SEGMENT !== null
    this.#headers = new NativeMemory(capacity * this.stride)
    this.#iovecs = new NativeMemory(capacity * this.#parts * IOVEC)
    this.#controls = new NativeMemory(capacity * CONTROL)
    this.frames = new Int32Array(capacity)
    this.#size = new Int32Array(capacity)
    this.#lastSize = new Int32Array(capacity)
    this.#bytes = new Int32Array(capacity)
    this.address = this.#headers.address
    for (let i = 0; i < capacity; i++) {
      if (prefix !== undefined) this.#setIovec(i * this.#parts, prefix.address, prefix.bytes.length)
      if (UDP_SEGMENT === null) continue
      const { control } = this.#layout
      this.#headers.writePointer(i * this.stride + control, this.#controls.address + i * CONTROL)
      const { words } = this.#controls
      words[(i * CONTROL) >> 2] = CONTROL_LENGTH
      words[(i * CONTROL + 8) >> 2] = UDP_SEGMENT.level
      words[(i * CONTROL + 12) >> 2] = UDP_SEGMENT.type
    }
  }

  clear(): void {
    this.count = 0
    this.#placed = 0
  }

  /** A message with this frame, to this address. */
  add(name: number, nameLength: number, address: number, length: number): void {
    const m = this.count++
    const header = m * this.stride
    const first = this.#place(address, length)
    this.#headers.writePointer(header + this.#layout.name, name)
    this.#headers.words[(header + this.#layout.nameLength) >> 2] = nameLength
    this.#headers.writePointer(header + this.#layout.iov, this.#iovecs.address + first * IOVEC)
    this.#headers.words[(header + this.#layout.iovLength) >> 2] = this.#parts
    this.#headers.words[(header + this.#layout.controlLength) >> 2] = 0
    this.frames[m] = 1
    this.#size[m] = this.#lastSize[m] = this.#bytes[m] = length + this.#prefixLength
  }

  /** Puts a frame into the last message, which goes to the same address; false when it needs one of its own. */
  join(address: number, length: number): boolean {
    const m = this.count - 1
    const size = length + this.#prefixLength
    if (!this.#canJoin || m < 0 || size > this.#size[m] || this.#lastSize[m] !== this.#size[m]) return false
    if (this.frames[m] === MAX_SEGMENTS || this.#bytes[m] + size > MAX_BYTES) return false
    this.#place(address, length)
    const header = m * this.stride
    this.frames[m]++
    this.#lastSize[m] = size
    this.#bytes[m] += size
    this.#headers.words[(header + this.#layout.iovLength) >> 2] = this.frames[m] * this.#parts
    this.#headers.words[(header + this.#layout.controlLength) >> 2] = CONTROL
    this.#controls.words[(m * CONTROL + 16) >> 2] = this.#size[m]
    return true
  }

  /** Index of the iovec where the frame's message would begin. */
  #place(address: number, length: number): number {
    const first = this.#placed++ * this.#parts
    this.#setIovec(first + this.#parts - 1, address, length)
    return first
  }

  #setIovec(index: number, address: number, length: number): void {
    const { words } = this.#iovecs
    const at = index * (IOVEC >> 2)
    words[at] = address | 0
    words[at + 1] = Math.floor(address / 0x1_0000_0000)
    words[at + 2] = length
  }
}
