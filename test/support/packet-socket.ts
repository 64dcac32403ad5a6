/**
 * A station on an interface of a namespace: a packet socket, which gets every frame that the kernel receives there and
 * sends frames past the kernel's own stack. Behind a TAP it is to the switch what the host is.
 *
 * The kernel takes a VLAN tag out of a frame and tells it apart (packet(7), PACKET_AUXDATA); here it is put back, so
 * that what is received is what was sent.
 */
import assert from 'node:assert/strict'
import { getSystemErrorName } from 'node:util'
import { bindSocket, closeDescriptor, errno, recvmsg, send, setsockopt, socket } from '#src/os/libc.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { AF_INET, IFF_UP, Ifreq, ioctl, SIOCGIFFLAGS, SIOCGIFINDEX, SIOCSIFFLAGS } from '#src/tap/abi.js'
import { inNamespace } from '#src/tap/namespace.js'

// include/uapi/linux/if_packet.h, include/linux/socket.h
const AF_PACKET = 17
const SOCK_RAW = 3
const NONBLOCK_CLOEXEC = 0x80800
const ETH_P_ALL_BIG_ENDIAN = 0x0300
const SOL_PACKET = 263
const PACKET_AUXDATA = 8
const PACKET_IGNORE_OUTGOING = 23
const SOL_SOCKET = 1
const SO_RCVBUFFORCE = 33
const MSG_DONTWAIT = 0x40
const TP_STATUS_VLAN_VALID = 0x10
const RECEIVE_BUFFER = 64 * 1024 * 1024

const MSGHDR = 56
const IOVEC = 16
const CONTROL = 64
const ROOM = 70_000

/** Between looks at the socket; milliseconds. */
const RETRY_MS = 1
const TIMEOUT_MS = 10_000

export class PacketSocket {
  readonly #fd: number
  readonly #incoming = new NativeMemory(ROOM)
  readonly #outgoing = new NativeMemory(ROOM)
  readonly #header = new NativeMemory(MSGHDR + IOVEC + CONTROL)
  readonly #inbox: Uint8Array[] = []

  static on(netns: string, device: string): PacketSocket {
    return inNamespace(netns, () => new PacketSocket(device))
  }

  private constructor(device: string) {
    this.#fd = check(socket(AF_PACKET, SOCK_RAW | NONBLOCK_CLOEXEC, 0), 'socket')
    const value = new NativeMemory(8)
    const set = (level: number, option: number, number: number) => {
      value.words[0] = number
      check(setsockopt(this.#fd, level, option, value.address, 4), `option ${option}`)
    }
    set(SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    set(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    set(SOL_PACKET, PACKET_AUXDATA, 1)
    const ifreq = new Ifreq(device)
    withControlSocket(fd => check(ioctl(fd, SIOCGIFINDEX, ifreq), device))
    // struct sockaddr_ll: u16 family @0, u16 protocol @2 (big endian), s32 ifindex @4; 20 bytes.
    const address = new NativeMemory(24)
    address.words[0] = AF_PACKET | (ETH_P_ALL_BIG_ENDIAN << 16)
    address.words[1] = ifreq.value
    check(bindSocket(this.#fd, address.address, 20), 'bind')
    this.#wire()
  }

  /** Resolves when all are on their way. */
  async send(frames: readonly Uint8Array[]): Promise<void> {
    const deadline = performance.now() + TIMEOUT_MS
    for (const frame of frames) {
      this.#outgoing.bytes.set(frame)
      while (send(this.#fd, this.#outgoing.address, frame.length, MSG_DONTWAIT) < 0) {
        const name = getSystemErrorName(-errno())
        if (name !== 'EAGAIN' && name !== 'ENOBUFS') throw new Error(`send of ${frame.length} bytes: ${name}`)
        assert.ok(performance.now() < deadline, 'the interface takes no frames')
        await later()
      }
    }
  }

  /** The next frames; rejects when they do not come in a bounded time. */
  async receive(count: number): Promise<Uint8Array[]> {
    const deadline = performance.now() + TIMEOUT_MS
    for (;;) {
      this.#drain()
      if (this.#inbox.length >= count) return this.#inbox.splice(0, count)
      assert.ok(performance.now() < deadline, `${this.#inbox.length} of ${count} frames came`)
      await later()
    }
  }

  /** What came so far is dropped. */
  forget(): void {
    this.#drain()
    this.#inbox.length = 0
  }

  close(): void {
    closeDescriptor(this.#fd)
  }

  #wire(): void {
    const { address } = this.#header
    this.#header.writePointer(16, address + MSGHDR)
    this.#header.words[24 >> 2] = 1
    this.#header.writePointer(32, address + MSGHDR + IOVEC)
    this.#header.writePointer(MSGHDR, this.#incoming.address)
    this.#header.words[(MSGHDR + 8) >> 2] = ROOM
  }

  #drain(): void {
    for (;;) {
      this.#header.words[40 >> 2] = CONTROL
      const length = recvmsg(this.#fd, this.#header.address, MSG_DONTWAIT)
      if (length < 0) return
      this.#inbox.push(this.#tagged(this.#incoming.bytes.slice(0, length)))
    }
  }

  /**
   * struct cmsghdr: size_t length @0, level @8, type @12; tpacket_auxdata @16: status @0, u16 tag @16, u16 TPID @18.
   */
  #tagged(frame: Uint8Array): Uint8Array {
    const { words } = this.#header
    const at = (MSGHDR + IOVEC) >> 2
    if (words[40 >> 2] === 0 || words[at + 2] !== SOL_PACKET || words[at + 3] !== PACKET_AUXDATA) return frame
    const auxdata = at + 4
    if (((words[auxdata] ?? 0) & TP_STATUS_VLAN_VALID) === 0) return frame
    const tag = (words[auxdata + 4] ?? 0) & 0xffff
    const tpid = (words[auxdata + 4] ?? 0) >>> 16
    const whole = new Uint8Array(frame.length + 4)
    whole.set(frame.subarray(0, 12))
    whole.set([tpid >> 8, tpid & 255, tag >> 8, tag & 255], 12)
    whole.set(frame.subarray(12), 16)
    return whole
  }
}

/** Takes an interface up or down. */
export function setLink(netns: string, device: string, up: boolean): void {
  inNamespace(netns, () =>
    withControlSocket(fd => {
      const ifreq = new Ifreq(device)
      check(ioctl(fd, SIOCGIFFLAGS, ifreq), device)
      ifreq.flags = up ? ifreq.flags | IFF_UP : ifreq.flags & ~IFF_UP
      check(ioctl(fd, SIOCSIFFLAGS, ifreq), device)
    }),
  )
}

function withControlSocket(use: (fd: number) => void): void {
  const fd = check(socket(AF_INET, 2, 0), 'socket')
  use(fd)
  closeDescriptor(fd)
}

function check(result: number, what: string): number {
  if (result < 0) throw new Error(`${what}: ${getSystemErrorName(result === -1 ? -errno() : result)}`)
  return result
}

const later = () => new Promise(resolve => setTimeout(resolve, RETRY_MS))
