/**
 * A vector of packets for vmnet_read and vmnet_write: struct vmpktdesc, each with one struct iovec, wired together
 * once.
 *
 *     vmpktdesc (24 bytes)                 iovec (16 bytes)
 *     @0  size_t   vm_pkt_size             @0 void  *iov_base --> a frame
 *     @8  iovec   *vm_pkt_iov  ----------> @8 size_t iov_len
 *     @16 uint32   vm_pkt_iovcnt = 1
 *     @20 uint32   vm_flags = 0
 *
 * vmnet_write wants exactly one iovec and iov_len equal to vm_pkt_size. vmnet_read wants both to say how much room
 * there is, before every call, and answers in vm_pkt_size; what is left in iov_len means nothing then.
 */
import { NativeMemory } from '../os/native-memory.js'

const PACKET = 24
const IOVEC = 16
/** The same, counted in 32-bit words. */
const PACKET_WORDS = PACKET >> 2
const IOVEC_WORDS = IOVEC >> 2

export class PacketVector {
  readonly capacity: number
  /** Address of the first packet. */
  readonly address: number
  /** Address of the number of packets, which goes in and comes out. */
  readonly countAddress: number
  readonly #packets: NativeMemory
  readonly #iovecs: NativeMemory
  readonly #count = new NativeMemory(8)

  constructor(capacity: number) {
    this.capacity = capacity
    this.#packets = new NativeMemory(capacity * PACKET)
    this.#iovecs = new NativeMemory(capacity * IOVEC)
    this.address = this.#packets.address
    this.countAddress = this.#count.address
    for (let i = 0; i < capacity; i++) this.#packets.writePointer(i * PACKET + 8, this.#iovecs.address + i * IOVEC)
  }

  get count(): number {
    return this.#count.words[0]
  }

  set count(count: number) {
    this.#count.words[0] = count
  }

  /** Everything of packet `i`, as the next call has to find it: `length` bytes, or that much room, at `address`. */
  set(i: number, address: number, length: number): void {
    const packets = this.#packets.words
    const iovecs = this.#iovecs.words
    const packet = i * PACKET_WORDS
    const iovec = i * IOVEC_WORDS
    packets[packet] = length
    packets[packet + 1] = 0
    packets[packet + 4] = 1
    packets[packet + 5] = 0
    iovecs[iovec] = address | 0
    iovecs[iovec + 1] = Math.floor(address / 0x1_0000_0000)
    iovecs[iovec + 2] = length
    iovecs[iovec + 3] = 0
  }

  /** Bytes of packet `i`, as vmnet_read left them. */
  length(i: number): number {
    return this.#packets.words[i * PACKET_WORDS]
  }
}
