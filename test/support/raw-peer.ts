/**
 * The far end of a unix datagram socket, inside the test: what QEMU (bound, sends by path), vfkit and libkrun (bound,
 * connected, "VFKT" first) and a careless program (not bound at all) are to the switch.
 *
 *     const vm = RawPeer.bind(join(folder, 'vm.sock'), { sendTo: listen })                              as QEMU
 *     const vm = RawPeer.bind(join(folder, 'vm.sock'), { connectTo: listen, handshake: 'vfkit' })       as vfkit
 *     await vm.send(arpRequest)
 *     assert.deepEqual(await vm.receive(), arpReply)
 *
 * Frames are read from the kernel only when asked for, so a peer on which nobody calls `receive` is a VM that stopped
 * reading. Every wait is bounded.
 */
import assert from 'node:assert/strict'
import { unlinkSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { bindSocket, orErrno } from '#src/os/libc.js'
import { MessageVector } from '#src/os/message-vector.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { createOs, type Os } from '#src/os/os.js'
import { encodeUnixAddress } from '#src/os/sockaddr-un.js'
import * as unix from '#src/os/unix-socket.js'
import { must, type SendResult, sendAll, sendWhileTaken, takeAll } from './datagrams.js'
import { vfktHandshake } from './frames.js'
import { ready } from './readiness.js'

const os: Os = createOs()
const { layout } = os
const VECTOR = 64
const defaultTimeoutMs = 5000
/**
 * Between attempts where the kernel calls a full socket writable: an unconnected one asks only about its own buffer.
 */
const retryMs = 1

export interface RawPeerOptions {
  /** Connects to this path: sends without an address, hears only who is there. */
  connectTo?: string
  /** Where frames go, by path, while not connected. */
  sendTo?: string
  /** Sent once, after connecting. */
  handshake?: 'vfkit'
  /** Binds with all of struct sockaddr_un, zeroes after the path included, as QEMU does. */
  wholeAddress?: boolean
  /** The longest datagram it can take. Bytes; default 16384. */
  maxFrameSize?: number
  /** Bytes asked for as its send buffer; default what the kernel gives. */
  sendBufferBytes?: number
}

export class RawPeer {
  /** Null for a peer that is not bound. */
  readonly path: string | null
  readonly fd: number
  readonly #slot: number
  readonly #inbox: Uint8Array[] = []
  readonly #incoming: NativeMemory
  readonly #outgoing: NativeMemory
  readonly #receiveVector: MessageVector
  readonly #sendVector: MessageVector
  readonly #target: NativeMemory | null
  readonly #targetLength: number
  #connected = false
  #closed = false

  /** Throws with the name of the error when the path is taken or there is nobody to connect to. */
  static bind(path: string, options: RawPeerOptions = {}): RawPeer {
    return new RawPeer(path, options)
  }

  /** A sender without an address, which nobody can answer. */
  static unbound(options: RawPeerOptions): RawPeer {
    return new RawPeer(null, options)
  }

  private constructor(path: string | null, options: RawPeerOptions) {
    this.path = path
    this.#slot = Math.ceil((options.maxFrameSize ?? 16384) / 64) * 64
    this.#incoming = new NativeMemory(VECTOR * this.#slot)
    this.#outgoing = new NativeMemory(VECTOR * this.#slot)
    this.#receiveVector = new MessageVector(layout, VECTOR, false)
    this.#sendVector = new MessageVector(layout, VECTOR, false)
    for (let i = 0; i < VECTOR; i++) {
      this.#receiveVector.setBuffer(i, this.#incoming.address + i * this.#slot, this.#slot)
    }
    const target = options.sendTo === undefined ? null : encodeUnixAddress(layout, options.sendTo)
    this.#target = target && memoryOf(target)
    this.#targetLength = target?.length ?? 0
    this.fd = must('socket', unix.openUnixDatagram(layout))
    try {
      if (path !== null) must(`bind ${path}`, bind(this.fd, path, options.wholeAddress === true))
      if (options.sendBufferBytes !== undefined) unix.sizeSocketBuffers(layout, this.fd, options.sendBufferBytes, 0)
      if (options.connectTo !== undefined) this.connect(options.connectTo)
      if (options.handshake === 'vfkit') must('send', unix.sendUnix(layout, this.fd, vfktHandshake))
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Connects, or connects anew, to the socket at this path. */
  connect(path: string): void {
    must(`connect to ${path}`, unix.connectUnix(this.fd, encodeUnixAddress(layout, path)))
    this.#connected = true
  }

  /** Connects, or says why not, e.g. 'EPERM'. */
  tryConnect(path: string): string | null {
    const result = unix.connectUnix(this.fd, encodeUnixAddress(layout, path))
    if (result >= 0) this.#connected = true
    return result < 0 ? getSystemErrorName(result) : null
  }

  /** Sends what the kernel takes now. */
  sendNow(frames: Uint8Array | readonly Uint8Array[]): SendResult {
    const all = frames instanceof Uint8Array ? [frames] : frames
    return sendWhileTaken(all, (each, first) => this.#sendSome(each, first))
  }

  /**
   * Sends all, waiting for room as long as there is none. Rejects after `timeoutMs`, and at any error but want of room.
   */
  async send(frames: Uint8Array | readonly Uint8Array[], timeoutMs = defaultTimeoutMs): Promise<void> {
    const all = frames instanceof Uint8Array ? [frames] : frames
    await sendAll(
      this.path,
      all,
      timeoutMs,
      rest => this.sendNow(rest),
      left => this.#untilRoom(left),
    )
  }

  /** Everything that waits in the kernel or was read before. An error of the socket is thrown by its name. */
  receiveNow(): Uint8Array[] {
    while (this.#read() === VECTOR) {
      // until a call finds less than it has room for
    }
    return this.#inbox.splice(0)
  }

  /** The next frame. Rejects after `timeoutMs`. */
  async receive(timeoutMs = defaultTimeoutMs): Promise<Uint8Array> {
    const [frame] = await this.receiveMany(1, timeoutMs)
    return frame as Uint8Array
  }

  /** The next `count` frames; what came beyond them stays for the next call. Rejects after `timeoutMs` in all. */
  async receiveMany(count: number, timeoutMs = defaultTimeoutMs): Promise<Uint8Array[]> {
    return takeAll(this.path, this.fd, this.#inbox, count, timeoutMs, () => this.#read())
  }

  /**
   * Proves that nothing is on its way to this peer: `from` sends `barrier`, a frame that the switch delivers here, and
   * it is the next to come. Order is kept from one ingress port to one egress port, so this says nothing about frames
   * of third parties that were sent only now.
   */
  async expectSilence(from: RawPeer, barrier: Uint8Array): Promise<void> {
    await from.send(barrier)
    const next = await this.receive()
    assert.deepEqual(hex(next), hex(barrier), `${this.path} got another frame before the barrier`)
  }

  /** Idempotent. The file stays unless `unlink`, as it does when a VM is killed. */
  close({ unlink = false }: { unlink?: boolean } = {}): void {
    if (this.#closed) return
    this.#closed = true
    unix.closeSocket(this.fd)
    if (unlink && this.path !== null) unlinkSync(this.path)
  }

  async #untilRoom(leftMs: number): Promise<void> {
    if (this.#connected) await ready(this.fd, 'writable', leftMs)
    else await new Promise(resolve => setTimeout(resolve, retryMs))
  }

  #sendSome(frames: readonly Uint8Array[], first: number): number {
    const count = Math.min(VECTOR, frames.length - first)
    const vector = this.#sendVector
    const target = this.#connected ? null : this.#target
    for (let i = 0; i < count; i++) {
      const frame = frames[first + i] as Uint8Array
      if (frame.length > this.#slot) throw new RangeError(`frame of ${frame.length} bytes, room for ${this.#slot}`)
      this.#outgoing.bytes.set(frame, i * this.#slot)
      vector.setBuffer(i, this.#outgoing.address + i * this.#slot, frame.length)
      vector.setName(i, target?.address ?? 0, target ? this.#targetLength : 0)
    }
    return os.sendMessages(this.fd, vector, count)
  }

  #read(): number {
    const count = os.receiveMessages(this.fd, this.#receiveVector, VECTOR)
    if (count === -layout.errno.EAGAIN) return 0
    must(`receive by ${this.path}`, count)
    for (let i = 0; i < count; i++) {
      const start = i * this.#slot
      this.#inbox.push(this.#incoming.bytes.slice(start, start + this.#receiveVector.length(i)))
    }
    return count
  }
}

function bind(fd: number, path: string, wholeAddress: boolean): number {
  if (!wholeAddress) return unix.bindUnix(layout, fd, path)
  const length = layout.sockaddrUn.pathOffset + layout.sockaddrUn.pathSize
  const address = new NativeMemory(length)
  address.bytes.set(encodeUnixAddress(layout, path))
  return orErrno(bindSocket(fd, address.address, length))
}

function memoryOf(address: Uint8Array): NativeMemory {
  const memory = new NativeMemory(address.length)
  memory.bytes.set(address)
  return memory
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
