/**
 * What stands between the data plane and each endpoint, so that an endpoint that throws fails alone.
 *
 * A guard calls its endpoint's methods inside try/catch. The first exception makes the endpoint *failed*: from then on
 * the guard answers in its place (nothing received, frames refused with `Fault.failed`) and never calls it again, so
 * nothing of the loop is unwound: a batch is recycled, a flush goes on with the next port, queues and reference counts
 * stay right. The data plane detaches the failed endpoint at the end of the turn; see contained-endpoints.ts.
 *
 * try/catch costs nothing where nothing is thrown, and the guard's own call is one for each batch, not for each frame.
 */
import { type Endpoint, Fault } from './endpoint.js'
import type { FrameList } from './frame-list.js'
import type { FramePool } from './frame-pool.js'
import type { EndpointMessage } from './messages.js'
import type { ReceiveBatch } from './receive-batch.js'

/** What `transmit` answers for a failed endpoint; no error number of any system. */
const FAILED = 0x7fff
/** Methods in the middle of which an endpoint does not know how far it is. */
const MOVING: readonly string[] = ['receive', 'receiveInPlace', 'transmit']

/** Why an endpoint failed: the method that threw, and what it threw. */
export interface Failure {
  readonly method: string
  readonly error: unknown
}

export class Guard implements Endpoint {
  readonly maxFrameSize?: number
  readonly maxTransmit?: number
  readonly receiveInPlace?: (fd: number, list: FrameList) => number
  readonly name: string
  /** Null while the endpoint serves. */
  failure: Failure | null = null
  readonly #endpoint: Endpoint
  readonly #pool: FramePool
  readonly #number: number
  readonly #failed: (guard: Guard) => void

  /**
   * `number` tells the endpoints of a data plane apart. `failed` is called once, in the middle of anything: note it and
   * return.
   */
  constructor(name: string, number: number, endpoint: Endpoint, pool: FramePool, failed: (guard: Guard) => void) {
    this.name = name
    this.#number = number
    this.#endpoint = endpoint
    this.#pool = pool
    this.#failed = failed
    if (endpoint.maxFrameSize !== undefined) this.maxFrameSize = endpoint.maxFrameSize
    if (endpoint.maxTransmit !== undefined) this.maxTransmit = endpoint.maxTransmit
    if (endpoint.receiveInPlace !== undefined) this.receiveInPlace = (fd, list) => this.#receiveInPlace(fd, list)
  }

  receive(fd: number, batch: ReceiveBatch): number {
    if (this.failure !== null) return 0
    try {
      return this.#endpoint.receive(fd, batch)
    } catch (error) {
      this.fail('receive', error)
      // The next endpoint uses the same vector, and needs room for whole addresses.
      batch.resetNames()
      return 0
    }
  }

  transmit(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    if (this.failure !== null) return -FAILED
    try {
      return this.#endpoint.transmit(port, offsets, lengths, first, count)
    } catch (error) {
      this.fail('transmit', error)
      return -FAILED
    }
  }

  unfinished(port: number): boolean {
    if (this.failure !== null) return false
    try {
      return this.#endpoint.unfinished?.(port) === true
    } catch (error) {
      this.fail('unfinished', error)
      return false
    }
  }

  connected(fd: number): void {
    this.#run('connected', () => this.#endpoint.connected?.(fd))
  }

  fault(port: number, errno: number): Fault {
    if (this.failure !== null) return Fault.failed
    try {
      return this.#endpoint.fault(port, errno)
    } catch (error) {
      this.fail('fault', error)
      return Fault.failed
    }
  }

  gone(port: number): void {
    this.#run('gone', () => this.#endpoint.gone(port))
  }

  egressDescriptor(port: number): number {
    if (this.failure !== null) return -1
    try {
      return this.#endpoint.egressDescriptor(port)
    } catch (error) {
      this.fail('egressDescriptor', error)
      return -1
    }
  }

  tick(now: number): void {
    this.#run('tick', () => this.#endpoint.tick(now))
  }

  message(message: EndpointMessage): void {
    this.#run('message', () => this.#endpoint.message(message))
  }

  handOver(headOf: (port: number) => Uint8Array | null): void {
    this.#run('handOver', () => this.#endpoint.handOver?.(headOf))
  }

  open(): void {
    this.#run('open', () => this.#endpoint.open())
  }

  close(): void {
    this.#run('close', () => this.#endpoint.close())
  }

  /**
   * Once it has failed: has the endpoint let go of what it shares with others. If it did not fail while it moved
   * frames, it may say how far it was in them, too, so that streams go on. Whatever it throws changes nothing.
   */
  finish(headOf: (port: number) => Uint8Array | null): void {
    try {
      if (!MOVING.includes(this.failure?.method ?? '')) this.#endpoint.handOver?.(headOf)
    } catch {
      // It has failed already, and for the first reason.
    }
    try {
      this.#endpoint.abandon?.()
    } catch {
      // The same.
    }
  }

  /** Makes the endpoint failed; the first reason counts. */
  fail(method: string, error: unknown): void {
    if (this.failure !== null) return
    this.failure = { method, error }
    this.#failed(this)
  }

  #receiveInPlace(fd: number, list: FrameList): number {
    if (this.failure === null) {
      try {
        this.#pool.bufferUser = this.#number
        return (this.#endpoint as Required<Endpoint>).receiveInPlace(fd, list)
      } catch (error) {
        this.fail('receiveInPlace', error)
      }
    }
    list.more = false
    return 0
  }

  /** Lets go of the read buffers that a failed endpoint held. */
  reclaimBuffers(): void {
    this.#pool.reclaimBuffers(this.#number)
  }

  #run(method: string, task: () => void): void {
    if (this.failure !== null) return
    try {
      task()
    } catch (error) {
      this.fail(method, error)
    }
  }
}
