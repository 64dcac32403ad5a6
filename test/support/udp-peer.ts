/**
 * The far end of a UDP tunnel, inside the test: what QEMU's inet netdevs, another switch and a careless program are to
 * the switch. Frames are read from the kernel only when asked for. Every wait is bounded.
 *
 *     const vm = UdpPeer.bind('127.0.0.1:0', { sendTo: '127.0.0.1:7000' })
 *     await vm.send(arpRequest)
 *     assert.deepEqual(await vm.receive(), arpReply)
 */
import { MessageVector } from '#src/os/message-vector.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { createOs, type Os } from '#src/os/os.js'
import { decodeInetAddress, encodeInetAddress, type InetAddress } from '#src/os/sockaddr-in.js'
import * as udp from '#src/os/udp-socket.js'
import * as unix from '#src/os/unix-socket.js'
import { formatInetAddress, literalAddress } from '#src/transports/inet-text.js'
import { must, type SendResult, sendAll, sendWhileTaken, takeAll } from './datagrams.js'
import { ready } from './readiness.js'

const os: Os = createOs()
const { layout } = os
const VECTOR = 64
const NAME = 28
const defaultTimeoutMs = 8000

export interface UdpPeerOptions {
  /** Where frames go. */
  sendTo?: string
  /** Joins this group, on the interface with this IPv4 address, and sends from the group's port as QEMU does. */
  group?: { address: string; interface: string }
  /** The longest datagram it can take. Bytes; default 16384. */
  maxFrameSize?: number
  /** Datagrams from this address are not for us; a group gives its members what they send themselves. */
  ignore?: string
  /** Put in front of each frame that is sent, and cut from each that comes; bytes. */
  header?: Uint8Array
}

export interface Datagram {
  /** Who sent it. */
  from: string
  bytes: Uint8Array
}

export class UdpPeer {
  readonly fd: number
  /** `127.0.0.1:7001`, with the port the kernel chose where 0 was asked for. */
  readonly address: string
  readonly #slot: number
  readonly #header: Uint8Array
  readonly #ignore: string | undefined
  readonly #inbox: Datagram[] = []
  readonly #incoming: NativeMemory
  readonly #outgoing: NativeMemory
  readonly #receiveVector: MessageVector
  readonly #sendVector: MessageVector
  readonly #target = new NativeMemory(NAME)
  #targetLength = 0
  #closed = false

  /** Throws with the name of the error when the address is taken. */
  static bind(address: string, options: UdpPeerOptions = {}): UdpPeer {
    return new UdpPeer(literalAddress(address), options)
  }

  /** As a member of a group, sending to it from its own port. */
  static join(group: string, by = '127.0.0.1', options: UdpPeerOptions = {}): UdpPeer {
    return new UdpPeer(literalAddress(group), { ...options, sendTo: group, group: { address: group, interface: by } })
  }

  private constructor(local: InetAddress, options: UdpPeerOptions) {
    this.#slot = Math.ceil((options.maxFrameSize ?? 16384) / 64) * 64
    this.#header = options.header ?? new Uint8Array(0)
    this.#ignore = options.ignore
    this.#incoming = new NativeMemory(VECTOR * this.#slot)
    this.#outgoing = new NativeMemory(VECTOR * this.#slot)
    this.#receiveVector = new MessageVector(layout, VECTOR, true)
    this.#sendVector = new MessageVector(layout, VECTOR, false)
    for (let i = 0; i < VECTOR; i++) {
      this.#receiveVector.setBuffer(i, this.#incoming.address + i * this.#slot, this.#slot)
    }
    const family = local.ip.length === 4 ? 4 : 6
    this.fd = must('socket', udp.openUdp(layout, family))
    try {
      if (options.group !== undefined) this.#joinGroup(options.group)
      must(`bind ${formatInetAddress(local)}`, udp.bindUdp(layout, this.fd, local))
      unix.sizeSocketBuffers(layout, this.fd, 8 << 20, 8 << 20)
      const bound = udp.localAddress(layout, this.fd)
      this.address = formatInetAddress(bound as InetAddress)
      if (options.sendTo !== undefined) this.sendTo(options.sendTo)
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Where frames go from now on. */
  sendTo(address: string): void {
    const raw = encodeInetAddress(layout, literalAddress(address))
    this.#target.bytes.set(raw)
    this.#targetLength = raw.length
  }

  /** Sends what the kernel takes now; returns the name of the error that stopped it, or null. */
  sendNow(frames: Uint8Array | readonly Uint8Array[]): SendResult {
    const all = frames instanceof Uint8Array ? [frames] : frames
    return sendWhileTaken(all, (each, first) => this.#sendSome(each, first))
  }

  async send(frames: Uint8Array | readonly Uint8Array[], timeoutMs = defaultTimeoutMs): Promise<void> {
    const all = frames instanceof Uint8Array ? [frames] : frames
    await sendAll(
      this.address,
      all,
      timeoutMs,
      rest => this.sendNow(rest),
      left => ready(this.fd, 'writable', left),
    )
  }

  /** Everything that waits in the kernel or was read before. */
  receiveNow(): Uint8Array[] {
    while (this.#read() === VECTOR) {
      // until a call finds less than it has room for
    }
    return this.#inbox.splice(0).map(({ bytes }) => bytes)
  }

  async receive(timeoutMs = defaultTimeoutMs): Promise<Uint8Array> {
    const [frame] = await this.receiveMany(1, timeoutMs)
    return frame as Uint8Array
  }

  /** The next `count` frames; what came beyond them stays for the next call. Rejects after `timeoutMs` in all. */
  async receiveMany(count: number, timeoutMs = defaultTimeoutMs): Promise<Uint8Array[]> {
    return (await this.receiveDatagrams(count, timeoutMs)).map(({ bytes }) => bytes)
  }

  /** As `receiveMany`, with senders. */
  async receiveDatagrams(count: number, timeoutMs = defaultTimeoutMs): Promise<Datagram[]> {
    return takeAll(this.address, this.fd, this.#inbox, count, timeoutMs, () => this.#read())
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    unix.closeSocket(this.fd)
  }

  #joinGroup({ address, interface: by }: NonNullable<UdpPeerOptions['group']>): void {
    const group = literalAddress(address)
    const via = { ipv4: group.ip.length === 4 ? literalAddress(`${by}:0`).ip : null, index: group.scope }
    must('share', udp.shareAddress(layout, this.fd))
    must('join', udp.joinGroup(layout, this.fd, group.ip, via))
    must('send', udp.sendToGroups(layout, this.fd, group.ip.length === 4 ? 4 : 6, { by: via, ttl: 1, loop: true }))
  }

  #sendSome(frames: readonly Uint8Array[], first: number): number {
    const count = Math.min(VECTOR, frames.length - first)
    const vector = this.#sendVector
    const header = this.#header.length
    for (let i = 0; i < count; i++) {
      const frame = frames[first + i] as Uint8Array
      if (header + frame.length > this.#slot) throw new RangeError(`${frame.length} bytes, room for ${this.#slot}`)
      this.#outgoing.bytes.set(this.#header, i * this.#slot)
      this.#outgoing.bytes.set(frame, i * this.#slot + header)
      vector.setBuffer(i, this.#outgoing.address + i * this.#slot, header + frame.length)
      vector.setName(i, this.#target.address, this.#targetLength)
    }
    return os.sendMessages(this.fd, vector, count)
  }

  #read(): number {
    const vector = this.#receiveVector
    const count = os.receiveMessages(this.fd, vector, VECTOR)
    if (count === -layout.errno.EAGAIN) return 0
    must(`receive by ${this.address}`, count)
    for (let i = 0; i < count; i++) {
      const start = i * this.#slot
      const from = decodeInetAddress(layout, vector.name(i))
      const bytes = this.#incoming.bytes.slice(start + this.#header.length, start + vector.length(i))
      const label = from === undefined ? '' : formatInetAddress(from)
      if (label !== this.#ignore) this.#inbox.push({ from: label, bytes })
    }
    vector.resetNames(count)
    return count
  }
}

/** A port that nobody has at this moment. */
export function freeUdpPort(host = '127.0.0.1'): number {
  const peer = UdpPeer.bind(host.includes(':') ? `[${host}]:0` : `${host}:0`)
  peer.close()
  return Number(peer.address.slice(peer.address.lastIndexOf(':') + 1))
}
