/**
 * A TAP: the data plane's half. One descriptor, one port; one read(2) and one write(2) for each frame, because a TAP has no call for
 * several.
 *
 * The port is up while the interface is. When somebody takes it down, write fails with EIO, and poll(2) calls it unwritable
 * (drivers/net/tun.c, tun_chr_poll: EPOLLOUT only with IFF_UP); the port goes down with it, and the clock looks once a second until
 * it is back. The first frame from the host says so as well. When somebody deletes it, the descriptor is an error for good (EBADFD),
 * and would be reported as ready for ever; it is let go, and the main thread told, which makes the TAP anew.
 *
 * What the kernel itself has to say (router solicitations, multicast reports, neighbour discovery) comes in as from any host.
 */
import { type Endpoint, type EndpointHost, type EndpointPort, Fault } from '../dataplane/endpoint.js'
import type { EndpointMessage, EndpointSpec } from '../dataplane/messages.js'
import type { ReceiveBatch } from '../dataplane/receive-batch.js'
import { errno, pollDescriptors, read, write } from '../os/libc.js'
import { NativeMemory } from '../os/native-memory.js'
import { TAGGED_HEADER_BYTES } from '../wire/ethernet.js'
import { TAP, type TapDowncall, type TapOptions, type TapUpcall } from './options.js'

/** Of Linux, which alone has TAPs of this kind. */
const Errno = { EINTR: 4, EIO: 5, ENXIO: 6, EBADF: 9, EAGAIN: 11, ENOMEM: 12, EBADFD: 77, ENOBUFS: 105 } as const

// struct pollfd: int fd @0, short events @4, short revents @6.
const POLLOUT = 0x004
const POLLFAULT = 0x008 | 0x010 | 0x020

export class TapEndpoint implements Endpoint {
  /** The kernel takes longer frames than the MTU allows, and nobody there wants them. */
  readonly maxFrameSize: number
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: TapOptions
  readonly #poll = new NativeMemory(8)
  #fd = -1
  #device: string
  #port = -1
  #up = false

  constructor(spec: EndpointSpec, host: EndpointHost) {
    this.#host = host
    this.#spec = spec
    this.#options = spec.options as TapOptions
    this.#device = this.#options.device
    this.maxFrameSize = this.#options.mtu + TAGGED_HEADER_BYTES
  }

  open(): void {
    const [restored] = this.#spec.ports
    if (restored === undefined) {
      this.#port = this.#host.addPort(this, this.#describe())
      if (this.#port < 0) throw new Error(`no place for the port of ${this.#spec.name}`)
    } else {
      this.#port = restored.index
      this.#host.restorePort(this, this.#describe(), restored.index)
      if (restored.up) {
        this.#host.portRestored(restored.index)
        this.#up = true
      }
    }
    this.#take(this.#options.fd)
  }

  receive(fd: number, batch: ReceiveBatch): number {
    const { address, capacity } = this.#host.pool
    const port = this.#port
    const most = batch.length.length
    for (let i = 0; i < most; i++) {
      const length = read(fd, address + batch.offset[i], capacity)
      if (length < 0) {
        if (i === 0) this.#refused(errno())
        return i
      }
      batch.length[i] = length
      batch.port[i] = port
      if (!this.#up) this.#rise()
    }
    return most
  }

  transmit(_port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const { address } = this.#host.pool
    const fd = this.#fd
    for (let i = 0; i < count; i++) {
      if (write(fd, address + offsets[first + i], lengths[first + i]) < 0) return i > 0 ? i : -errno()
    }
    return count
  }

  fault(_port: number, error: number): Fault {
    switch (error) {
      case Errno.EINTR:
        return Fault.retry
      case Errno.EAGAIN:
      case Errno.ENOBUFS:
      case Errno.ENOMEM:
        return Fault.wait
      case Errno.EIO:
      case Errno.ENXIO:
      case Errno.EBADF:
      case Errno.EBADFD:
        return Fault.gone
      default:
        return Fault.skip
    }
  }

  gone(): void {
    this.#look()
    if (this.#up) this.#sink()
  }

  egressDescriptor(): number {
    return this.#fd
  }

  tick(): void {
    this.#look()
  }

  message(message: EndpointMessage): void {
    const { fd, device } = message as unknown as TapDowncall
    this.#device = device
    // The next data plane may have been given it when it started.
    if (fd !== this.#fd) this.#take(fd)
  }

  close(): void {
    this.#host.removePort(this.#port)
    if (this.#fd >= 0) this.#host.unwatch(this.#fd)
    this.#fd = -1
  }

  #take(fd: number): void {
    this.#fd = fd
    if (fd >= 0) this.#host.watch(this, fd)
    this.#look()
  }

  /** Brings the port to the state of the interface. */
  #look(): void {
    const state = this.#fd < 0 ? 'lost' : this.#ask()
    if (state === 'up') {
      if (!this.#up) this.#rise()
    } else {
      if (this.#up) this.#sink()
      if (state === 'lost') this.#letGo()
    }
  }

  #ask(): 'up' | 'down' | 'lost' {
    const { words, address } = this.#poll
    words[0] = this.#fd
    words[1] = POLLOUT
    if (pollDescriptors(address, 1, 0) < 0) return this.#up ? 'up' : 'down'
    const returned = words[1] >>> 16
    if ((returned & POLLFAULT) !== 0) return 'lost'
    return (returned & POLLOUT) !== 0 ? 'up' : 'down'
  }

  #refused(error: number): void {
    if (error === Errno.EAGAIN || error === Errno.EINTR) return
    this.#look()
  }

  #rise(): void {
    this.#up = true
    this.#host.portUp(this.#port, { peer: this.#device, restore: null })
  }

  #sink(): void {
    this.#up = false
    this.#host.portDown(this.#port, { peer: null, restore: null })
  }

  #letGo(): void {
    if (this.#fd < 0) return
    const upcall: TapUpcall = { type: 'lost', fd: this.#fd }
    this.#host.unwatch(this.#fd)
    this.#fd = -1
    this.#host.send(this.#spec.name, { ...upcall })
  }

  #describe(): EndpointPort {
    const { policy, staticAddresses } = this.#options
    return { name: this.#spec.name, transport: this.#spec.name, kind: TAP, policy, staticAddresses }
  }
}
