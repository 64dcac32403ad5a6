/**
 * A TAP: the data plane's half. One descriptor, one port. A TAP has no call for several frames, so each is a write(2),
 * and a read(2) while they come one by one; where many came the last time, as many reads are made at once through a
 * ring.
 *
 * The port is up while the interface is. When somebody takes it down, write fails with EIO, and poll(2) calls it
 * unwritable (drivers/net/tun.c, tun_chr_poll: EPOLLOUT only with IFF_UP); the port goes down with it, and the clock
 * looks once a second until it is back. The first frame from the host says so as well. When somebody deletes it, the
 * descriptor is an error for good (EBADFD), and would be reported as ready for ever; it is let go, and the main thread
 * told, which makes the TAP anew.
 *
 * What the kernel itself has to say (router solicitations, multicast reports, neighbour discovery) comes in as from any
 * host.
 */
import { type Endpoint, type EndpointHost, type EndpointPort, Fault } from '../dataplane/endpoint.js'
import type { EndpointMessage, EndpointSpec } from '../dataplane/messages.js'
import { BATCH, type ReceiveBatch } from '../dataplane/receive-batch.js'
import { errno, pollDescriptors, read, write } from '../os/libc.js'
import { NativeMemory } from '../os/native-memory.js'
import { closeAll } from '../os/os.js'
import { ReadRing } from '../os/read-ring.js'
import { TAGGED_HEADER_BYTES } from '../wire/ethernet.js'
import { TAP, type TapDowncall, type TapOptions, type TapUpcall } from './options.js'

/** Of Linux, which alone has TAPs of this kind. */
const Errno = { EINTR: 4, EIO: 5, ENXIO: 6, EBADF: 9, EAGAIN: 11, ENOMEM: 12, EBADFD: 77, ENOBUFS: 105 } as const

// struct pollfd: int fd @0, short events @4, short revents @6.
const POLLOUT = 0x004
const POLLFAULT = 0x008 | 0x010 | 0x020

/** Frames from which on the ring costs less than as many calls of read(2); see read-ring.ts. */
const RING_WORTHWHILE = 8

interface Restore {
  /** What this data plane opened for itself, to be closed by the next if this one dies. */
  readonly descriptors: readonly number[]
}

export class TapEndpoint implements Endpoint {
  /** The kernel takes longer frames than the MTU allows, and nobody there wants them. */
  readonly maxFrameSize: number
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: TapOptions
  readonly #poll = new NativeMemory(8)
  #fd = -1
  #device: string
  /** Null where the system has none. */
  #ring: ReadRing | null
  /** Frames that the last call brought; the next is likely to bring as many. */
  #expected = 0
  #port = -1
  #up = false

  constructor(spec: EndpointSpec, host: EndpointHost) {
    this.#host = host
    this.#spec = spec
    this.#options = spec.options as TapOptions
    this.#device = this.#options.device
    this.#ring = ReadRing.open(BATCH)
    this.maxFrameSize = this.#options.mtu + TAGGED_HEADER_BYTES
  }

  open(): void {
    const [restored] = this.#spec.ports
    if (restored === undefined) {
      this.#port = this.#host.needPort(this, this.#describe())
    } else {
      this.#port = restored.index
      closeAll((restored.restore as Restore | null)?.descriptors ?? [])
      this.#host.restorePort(this, this.#describe(), restored.index)
      if (restored.up) {
        this.#host.portRestored(restored.index)
        this.#up = true
      }
    }
    this.#host.updateRestore(this.#port, this.#restore())
    this.#take(this.#options.fd)
  }

  receive(fd: number, batch: ReceiveBatch): number {
    const most = batch.length.length
    const singly = this.#ring === null ? most : this.#expected < RING_WORTHWHILE ? RING_WORTHWHILE : 0
    let count = this.#readSingly(fd, batch, singly)
    for (let wanted = this.#expected; this.#ring !== null && count >= singly && count < most; wanted *= 2) {
      const asked = Math.min(Math.max(wanted, RING_WORTHWHILE), most - count)
      const got = this.#readTogether(fd, batch, count, asked)
      count += got
      if (got < asked) break
    }
    this.#expected = count
    return count
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

  handOver(): void {
    this.#forgetRing()
    this.#host.updateRestore(this.#port, this.#restore())
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
    this.#forgetRing()
  }

  /** By read(2), up to `most` frames. */
  #readSingly(fd: number, batch: ReceiveBatch, most: number): number {
    const { address, capacity } = this.#host.pool
    for (let i = 0; i < most; i++) {
      const length = read(fd, address + batch.offset[i], capacity)
      if (length < 0) {
        if (i === 0) this.#refused(errno())
        return i
      }
      this.#received(batch, i, length)
    }
    return most
  }

  /** By the ring, `asked` frames into the slots from `first` on. Returns how many came. */
  #readTogether(fd: number, batch: ReceiveBatch, first: number, asked: number): number {
    const ring = this.#ring as ReadRing
    const { address, capacity, bytes } = this.#host.pool
    for (let i = 0; i < asked; i++) ring.setBuffer(i, address + batch.offset[first + i], capacity)
    const sound = ring.read(fd, asked)
    let count = 0
    for (let i = 0; i < asked; i++) {
      const length = ring.results[i]
      if (length < 0) continue
      const at = batch.offset[first + i]
      // A frame that came just after a read that found nothing moves up.
      if (i > count) bytes.copyWithin(batch.offset[first + count], at, at + length)
      this.#received(batch, first + count, length)
      count++
    }
    if (count === 0 && first === 0) this.#refused(-ring.results[0])
    if (!sound) {
      this.#forgetRing()
      this.#host.updateRestore(this.#port, this.#restore())
    }
    return count
  }

  #received(batch: ReceiveBatch, i: number, length: number): void {
    batch.length[i] = length
    batch.port[i] = this.#port
    if (!this.#up) this.#rise()
  }

  #forgetRing(): void {
    this.#ring?.close()
    this.#ring = null
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
    this.#host.portUp(this.#port, { peer: this.#device, restore: this.#restore() })
  }

  #sink(): void {
    this.#up = false
    this.#host.portDown(this.#port, { peer: null, restore: this.#restore() })
  }

  #letGo(): void {
    if (this.#fd < 0) return
    const upcall: TapUpcall = { type: 'lost', fd: this.#fd }
    this.#host.unwatch(this.#fd)
    this.#fd = -1
    this.#host.send(this.#spec.name, { ...upcall })
  }

  #restore(): Restore {
    return { descriptors: this.#ring === null ? [] : [this.#ring.fd] }
  }

  #describe(): EndpointPort {
    const { policy, staticAddresses } = this.#options
    return { name: this.#spec.name, transport: this.#spec.name, kind: TAP, policy, staticAddresses }
  }
}
