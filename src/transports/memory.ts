/**
 * Frames through memory: the smallest transport there is, for tests and as an example of an endpoint.
 *
 * A `MemoryMedium` is the world outside: the test makes peers on it, sends from them, reads what they got.
 * `MemoryEndpoint` is the data plane's half, and each peer is one port, made by its first frame, as on a socket path
 * with many VMs. The medium has one descriptor, a waker that stays readable while frames wait, because descriptors are
 * all the engine can wait for. Both halves live in one thread and share objects, so no configuration offers this
 * transport.
 */
import { type Endpoint, type EndpointHost, type EndpointPort, Fault } from '../dataplane/endpoint.js'
import type { EndpointMessage, EndpointSpec } from '../dataplane/messages.js'
import type { ReceiveBatch } from '../dataplane/receive-batch.js'
import type { Os } from '../os/os.js'
import { settle, type Waker, wake } from '../os/waker.js'

export const MEMORY = 'memory'

export interface MemoryOptions {
  medium: MemoryMedium
  policy: EndpointPort['policy']
}

/** One station. Frames handed over in either direction are the receiver's. */
export class MemoryPeer {
  readonly name: string
  /** What the switch sent, oldest first. */
  readonly received: Uint8Array[] = []
  /** Frames it takes before it is full (EAGAIN). */
  room = Number.POSITIVE_INFINITY
  /** Error numbers that the next attempts to send to it get, one each. */
  readonly errors: number[] = []
  /** False once it has gone: nobody is there to send to. */
  present = true
  readonly #medium: MemoryMedium

  constructor(name: string, medium: MemoryMedium) {
    this.name = name
    this.#medium = medium
  }

  /** Puts a frame on the way to the switch. One that had gone is back with it. */
  send(frame: Uint8Array): void {
    this.present = true
    this.#medium.deliver(this, frame)
  }

  /** Goes without a word. What it sent before is still on the way. */
  leave(): void {
    this.present = false
  }
}

export class MemoryMedium {
  readonly #waker: Waker
  readonly #peers = new Map<string, MemoryPeer>()
  #waiting: { peer: MemoryPeer; frame: Uint8Array }[] = []

  constructor(os: Os) {
    this.#waker = os.createWaker()
  }

  /** Readable while frames wait for the switch. */
  get fd(): number {
    return this.#waker.readFd
  }

  /** Frames that wait for the switch. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** The peer of this name; made where there is none. */
  peer(name: string): MemoryPeer {
    const known = this.#peers.get(name)
    if (known !== undefined) return known
    const peer = new MemoryPeer(name, this)
    this.#peers.set(name, peer)
    return peer
  }

  deliver(peer: MemoryPeer, frame: Uint8Array): void {
    this.#waiting.push({ peer, frame })
    wake(this.#waker.writeFd)
  }

  /** The next frames for the switch, at most `count`. */
  take(count: number): { peer: MemoryPeer; frame: Uint8Array }[] {
    const taken = this.#waiting.slice(0, count)
    this.#waiting = this.#waiting.slice(count)
    if (this.#waiting.length === 0) settle(this.#waker.readFd)
    return taken
  }

  close(): void {
    this.#waker.close()
  }
}

interface MemoryPort {
  peer: MemoryPeer
  port: number
  up: boolean
}

export class MemoryEndpoint implements Endpoint {
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: MemoryOptions
  readonly #ofPeer = new Map<MemoryPeer, MemoryPort>()
  readonly #ofPort: MemoryPort[] = []

  constructor(spec: EndpointSpec, host: EndpointHost) {
    this.#host = host
    this.#spec = spec
    this.#options = spec.options as MemoryOptions
  }

  open(): void {
    for (const { index, name, up, restore } of this.#spec.ports) {
      this.#host.restorePort(this, this.#describe(name), index)
      this.#enter({ peer: this.#options.medium.peer(restore as string), port: index, up })
      if (up) this.#host.portRestored(index)
    }
    this.#host.watch(this, this.#options.medium.fd)
  }

  receive(_fd: number, batch: ReceiveBatch): number {
    const { pool } = this.#host
    const taken = this.#options.medium.take(batch.length.length)
    for (const [i, { peer, frame }] of taken.entries()) {
      // As the kernel does with a datagram for which there is no room; the core refuses the length.
      batch.length[i] = Math.min(frame.length, pool.capacity)
      pool.bytes.set(frame.subarray(0, batch.length[i]), batch.offset[i])
      batch.port[i] = this.#join(peer)
    }
    return taken.length
  }

  transmit(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const { peer } = this.#ofPort[port]
    const { errno } = this.#host.os.layout
    const error = peer.errors.shift()
    if (error !== undefined) return -error
    if (!peer.present) return -errno.ECONNREFUSED
    if (peer.room === 0) return -errno.EAGAIN
    const taken = Math.min(count, peer.room)
    for (let i = first; i < first + taken; i++) {
      peer.received.push(this.#host.pool.bytes.slice(offsets[i], offsets[i] + lengths[i]))
    }
    peer.room -= taken
    return taken
  }

  fault(_port: number, errno: number): Fault {
    const { EAGAIN, ECONNREFUSED } = this.#host.os.layout.errno
    if (errno === EAGAIN) return Fault.wait
    return errno === ECONNREFUSED ? Fault.gone : Fault.skip
  }

  gone(port: number): void {
    const entry = this.#ofPort[port]
    if (!entry.up) return
    entry.up = false
    this.#host.portDown(port, { peer: null, restore: entry.peer.name })
  }

  /** A peer that has room again rings no bell. */
  egressDescriptor(): number {
    return -1
  }

  tick(): void {
    for (const { peer, port } of this.#ofPeer.values()) if (!peer.present) this.gone(port)
  }

  message(message: EndpointMessage): void {
    throw new Error(`the memory transport has no message ${message.type}`)
  }

  close(): void {
    for (const { port } of this.#ofPeer.values()) this.#host.removePort(port)
    this.#ofPeer.clear()
    this.#host.unwatch(this.#options.medium.fd)
  }

  /** The port of whoever sent; -1 when the switch has no place for it. */
  #join(peer: MemoryPeer): number {
    const entry = this.#ofPeer.get(peer) ?? this.#makePort(peer)
    if (entry === null) return -1
    if (!entry.up) {
      entry.up = true
      this.#host.portUp(entry.port, { peer: peer.name, restore: peer.name })
    }
    return entry.port
  }

  #makePort(peer: MemoryPeer): MemoryPort | null {
    const number = this.#host.nextPortNumber(this.#spec.index)
    const port = this.#host.addPort(this, this.#describe(`${this.#spec.name}:${number}`))
    if (port < 0) {
      this.#host.countDrop(this.#spec.index, 'peer-limit')
      return null
    }
    return this.#enter({ peer, port, up: false })
  }

  #enter(entry: MemoryPort): MemoryPort {
    this.#ofPeer.set(entry.peer, entry)
    this.#ofPort[entry.port] = entry
    return entry
  }

  #describe(name: string): EndpointPort {
    return { name, transport: this.#spec.name, kind: MEMORY, policy: this.#options.policy, staticAddresses: [] }
  }
}
