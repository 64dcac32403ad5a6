/**
 * Says of single frames that they passed a port: for each, an event with direction, addresses, EtherType and length,
 * which the main thread writes into its log. It is for finding out what a VM says at all, not for recording traffic, so
 * it is bounded like every event that traffic causes; what is left out is counted. While no port is traced, a batch
 * costs one look at `active`, a frame nothing.
 */
import { DESTINATION, ETHER_TYPE, formatMac, HEADER_SIZE, macHigh, macLow, SOURCE } from '../wire/ethernet.js'
import type { EventReporter } from './event-reporter.js'
import type { FrameList } from './frame-list.js'
import type { FramePool } from './frame-pool.js'
import type { Event } from './messages.js'
import type { ReceiveBatch } from './receive-batch.js'

export interface TracerParts {
  maxPorts: number
  pool: FramePool
  reporter: EventReporter
  clock: () => number
  emit: (event: Event) => void
}

export class Tracer {
  /** True while some port is traced. */
  active = false
  readonly #parts: TracerParts
  readonly #traced: Uint8Array

  constructor(parts: TracerParts) {
    this.#parts = parts
    this.#traced = new Uint8Array(parts.maxPorts)
  }

  set(port: number, traced: boolean): void {
    this.#traced[port] = traced ? 1 : 0
    this.active = this.#traced.includes(1)
  }

  /** The first `count` frames of the batch came in. */
  received(batch: ReceiveBatch, count: number): void {
    for (let i = 0; i < count; i++) {
      const port = batch.port[i]
      if (port >= 0 && this.#traced[port] === 1) this.#report(port, 'receive', batch.offset[i], batch.length[i])
    }
  }

  /** The first `count` frames of the list came in. */
  receivedInPlace({ port, offset, length }: FrameList, count: number): void {
    if (this.#traced[port] === 0) return
    for (let i = 0; i < count; i++) this.#report(port, 'receive', offset[i], length[i])
  }

  /** These frames went out of the port. */
  transmitted(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): void {
    if (this.#traced[port] === 0) return
    for (let i = first; i < first + count; i++) this.#report(port, 'transmit', offsets[i], lengths[i])
  }

  #report(port: number, direction: 'receive' | 'transmit', offset: number, length: number): void {
    const { pool, reporter, clock, emit } = this.#parts
    if (!reporter.admit('frame')) return
    const { bytes } = pool
    const addressed = length >= HEADER_SIZE
    emit({
      type: 'frame',
      port,
      direction,
      destination: addressed ? addressAt(bytes, offset + DESTINATION) : null,
      source: addressed ? addressAt(bytes, offset + SOURCE) : null,
      etherType: addressed ? (bytes[offset + ETHER_TYPE] << 8) | bytes[offset + ETHER_TYPE + 1] : null,
      length,
      at: clock(),
    })
  }
}

function addressAt(bytes: Uint8Array, at: number): string {
  return formatMac(macHigh(bytes, at), macLow(bytes, at))
}
