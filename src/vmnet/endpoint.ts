/**
 * vmnet: the data plane's half. Two calls, vmnet_read and vmnet_write, on an interface that the main thread started,
 * and one descriptor, a waker that the main thread rings when vmnet says that frames have arrived.
 *
 * The waker stays readable for as long as frames keep coming, so every turn asks for the next batch, after the other
 * ports had theirs. When there is nothing, attention.ts says whether to ask again at once, soon, or not before being
 * told. Before it sleeps the endpoint silences the waker and asks once more: a frame that came in between has rung
 * already, and will not again.
 *
 * vmnet fails a whole call for one bad frame, so none gets there: frames longer than the interface takes are dropped
 * when they are staged (`maxFrameSize`), runts when they enter the switch. Should vmnet refuse a batch all the same,
 * its frames are offered one at a time and the one that is refused alone is dropped and counted. What it does not take
 * now waits in the egress queue and is offered again every millisecond; when it has taken nothing for STUCK_MS, that is
 * dropped and counted too.
 */
import { type Endpoint, type EndpointHost, type EndpointPort, Fault } from '../dataplane/endpoint.js'
import type { EndpointSpec } from '../dataplane/messages.js'
import { BATCH, type ReceiveBatch } from '../dataplane/receive-batch.js'
import { NativeMemory } from '../os/native-memory.js'
import { settle, wake } from '../os/waker.js'
import { HEADER_SIZE } from '../wire/ethernet.js'
import { Attention, Next } from './attention.js'
import { VMNET, type VmnetEndpointOptions } from './endpoint-options.js'
import { bindPacketCalls } from './library.js'
import { PacketVector } from './packet-vector.js'
import { BATCH_BYTES, batchLimit } from './parameters.js'
import { Status } from './status.js'

/**
 * Milliseconds without a single frame taken, until what waits is dropped. Arbitrary; far above what a busy host needs.
 */
const STUCK_MS = 5000
/** Milliseconds between two reports of the same status. */
const REPORT_MS = 1000

export class VmnetEndpoint implements Endpoint {
  readonly maxFrameSize: number
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: VmnetEndpointOptions
  readonly #calls: ReturnType<typeof bindPacketCalls>
  readonly #in: PacketVector
  readonly #out: PacketVector
  /** Only where the pool's slots are smaller than what vmnet wants room for. */
  readonly #bounce: NativeMemory | null
  readonly #attention = new Attention()
  readonly #reportedAt = new Map<string, number>()
  #readLimit: number
  #writeLimit: number
  /** Frames to offer one at a time, because some batch was refused. */
  #singly = 0
  #stuckSince = -1
  #fullAt = 0
  /** The waker is readable, and by our doing. */
  #ringing = false
  #port = -1

  constructor(spec: EndpointSpec, host: EndpointHost) {
    const options = spec.options as VmnetEndpointOptions
    this.#host = host
    this.#spec = spec
    this.#options = options
    this.#calls = bindPacketCalls(options.library)
    this.maxFrameSize = options.maxPacketSize
    this.#readLimit = Math.min(BATCH, batchLimit(options.readMaxPackets, options.maxPacketSize))
    this.#writeLimit = Math.min(BATCH, options.writeMaxPackets)
    this.#in = new PacketVector(BATCH)
    this.#out = new PacketVector(BATCH)
    this.#bounce =
      options.maxPacketSize > host.pool.capacity ? new NativeMemory(this.#readLimit * options.maxPacketSize) : null
  }

  open(): void {
    const { readFd } = this.#options
    const [before] = this.#spec.ports
    if (before === undefined) {
      this.#port = this.#host.needPort(this, this.#describe())
      this.#host.portUp(this.#port, { peer: this.#options.peer, restore: null })
    } else {
      this.#port = before.index
      this.#host.restorePort(this, this.#describe(), before.index)
      this.#host.portRestored(before.index)
    }
    this.#host.watch(this, readFd)
    // What arrived before anybody watched announces itself no more.
    this.#ring()
  }

  receive(fd: number, batch: ReceiveBatch): number {
    let count = this.#read(batch)
    if (count > 0) return this.#found(count)
    if (this.#ringing && this.#attention.nothing(this.#host.now()) === Next.spin) return 0
    settle(fd)
    this.#ringing = false
    count = this.#read(batch)
    if (count > 0) return this.#found(count)
    if (this.#attention.nothing(this.#host.now()) !== Next.sleep) this.#host.lookAgain(fd)
    return 0
  }

  transmit(_port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    let done = 0
    while (done < count) {
      const wired = this.#wire(offsets, lengths, first + done, count - done)
      if (wired === 0) return done > 0 ? done : -Status.PACKET_TOO_BIG
      const taken = this.#write(wired)
      if (taken <= 0) return done > 0 ? done : taken
      done += taken
      if (taken < wired) return done
    }
    return done
  }

  fault(_port: number, status: number): Fault {
    if (status === Status.TOO_MANY_PACKETS) return Fault.retry
    return Fault.skip
  }

  gone(): void {}

  /** vmnet does not say when it takes frames again. */
  egressDescriptor(): number {
    return -1
  }

  /** An event that got lost, should there be such a thing, costs a second at most. */
  tick(): void {
    this.#ring()
  }

  message(): void {
    throw new Error('the data plane of a vmnet interface is told nothing')
  }

  close(): void {
    if (this.#port < 0) return
    this.#host.unwatch(this.#options.readFd)
    this.#host.removePort(this.#port)
    this.#port = -1
  }

  #read(batch: ReceiveBatch): number {
    const { pool } = this.#host
    const size = this.maxFrameSize
    const limit = this.#readLimit
    const vector = this.#in
    const bounce = this.#bounce
    for (let i = 0; i < limit; i++) {
      vector.set(i, bounce === null ? pool.address + batch.offset[i] : bounce.address + i * size, size)
    }
    vector.count = limit
    const status = this.#calls.read(this.#options.reference, vector.address, vector.countAddress)
    if (status !== Status.SUCCESS) return this.#unread(status)
    const { count } = vector
    for (let i = 0; i < count; i++) {
      let length = vector.length(i)
      if (bounce !== null) {
        // A frame longer than a slot is longer than the switch allows; what is left of it is enough to say so.
        length = Math.min(length, pool.capacity)
        pool.bytes.set(bounce.bytes.subarray(i * size, i * size + length), batch.offset[i])
      }
      batch.length[i] = length
      batch.port[i] = this.#port
    }
    return count
  }

  #unread(status: number): 0 {
    if (status === Status.BUFFER_EXHAUSTED) return 0
    if (status === Status.TOO_MANY_PACKETS && this.#readLimit > 1) {
      this.#readLimit >>= 1
      this.#ring()
    } else {
      this.#report('read', status)
    }
    return 0
  }

  #found(count: number): number {
    this.#attention.found(this.#host.now())
    if (!this.#ringing) this.#ring()
    return count
  }

  #ring(): void {
    wake(this.#options.writeFd)
    this.#ringing = true
  }

  /** As many frames as one call may carry; 0 when not even the first may be shown to vmnet. */
  #wire(offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const { address } = this.#host.pool
    const limit = this.#singly > 0 ? 1 : Math.min(count, this.#writeLimit)
    let bytes = 0
    for (let i = 0; i < limit; i++) {
      const length = lengths[first + i]
      bytes += length
      if (length < HEADER_SIZE || length > this.maxFrameSize || (i > 0 && bytes > BATCH_BYTES)) return i
      this.#out.set(i, address + offsets[first + i], length)
    }
    return limit
  }

  /** How many of the frames that are wired vmnet took; 0 or a negated status when none. */
  #write(count: number): number {
    this.#out.count = count
    const status = this.#calls.write(this.#options.reference, this.#out.address, this.#out.countAddress)
    if (status !== Status.SUCCESS) return this.#refused(status, count)
    const taken = this.#out.count
    if (taken === 0) return this.#full()
    this.#stuckSince = -1
    if (this.#singly > 0) this.#singly--
    return taken
  }

  #refused(status: number, count: number): number {
    if (status === Status.BUFFER_EXHAUSTED || status === Status.SHARING_SERVICE_BUSY) return this.#full()
    if (count > 1) {
      if (status === Status.TOO_MANY_PACKETS) this.#writeLimit = count >> 1
      else this.#singly = count
      return -Status.TOO_MANY_PACKETS
    }
    if (this.#singly > 0) this.#singly--
    this.#report('write', status)
    // For a single frame it is no reason to try again.
    return status === Status.TOO_MANY_PACKETS ? -Status.FAILURE : -status
  }

  /** 0: wait. Once that has lasted too long, an error that ends each frame's waiting. */
  #full(): number {
    const now = this.#host.now()
    // Frames that wait are offered every millisecond; a pause means that none was waiting.
    if (this.#stuckSince < 0 || now - this.#fullAt > REPORT_MS) this.#stuckSince = now
    this.#fullAt = now
    return now - this.#stuckSince < STUCK_MS ? 0 : -Status.BUFFER_EXHAUSTED
  }

  #report(call: 'read' | 'write', status: number): void {
    const key = `${call} ${status}`
    const now = this.#host.now()
    if (now - (this.#reportedAt.get(key) ?? Number.NEGATIVE_INFINITY) < REPORT_MS) return
    this.#reportedAt.set(key, now)
    this.#host.send(this.#spec.name, { type: 'failed', call, status })
  }

  #describe(): EndpointPort {
    const { policy, staticAddresses } = this.#options
    return { name: this.#spec.name, transport: this.#spec.name, kind: VMNET, policy, staticAddresses }
  }
}
