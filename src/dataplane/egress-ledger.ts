/**
 * Accounts of the way out: what each port sent, what it dropped and why, what waits. It shows the same frames to the
 * tracer and to captures, so that a count and a captured frame cannot differ.
 */
import { transmitDropReasons } from '../switch/drop-reason.js'
import type { Captures } from './captures.js'
import { PortField, type SharedCounters } from './shared-memory.js'
import type { Tracer } from './tracer.js'

/** Positions of the counters of `transmitDropReasons`. */
export const TransmitDrop = {
  QUEUE_FULL: transmitDropReasons.indexOf('queue-full'),
  OVERSIZE: transmitDropReasons.indexOf('oversize'),
  PEER_GONE: transmitDropReasons.indexOf('peer-gone'),
  ERROR: transmitDropReasons.indexOf('error'),
  IMPAIRED: transmitDropReasons.indexOf('impaired'),
  RESTART: transmitDropReasons.indexOf('restart'),
} as const

export class EgressLedger {
  readonly #cells: Float64Array
  readonly #rowOf: Int32Array
  readonly #tracer: Tracer | null
  readonly #captures: Captures | null

  constructor(maxPorts: number, counters: SharedCounters, tracer: Tracer | null, captures: Captures | null) {
    this.#cells = counters.cells
    this.#rowOf = Int32Array.from({ length: maxPorts }, (_, index) => counters.portRow(index))
    this.#tracer = tracer
    this.#captures = captures
  }

  /** Counts frames that the port's endpoint took. */
  sent(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): void {
    let bytes = 0
    for (let i = first; i < first + count; i++) bytes += lengths[i]
    const row = this.#rowOf[port]
    this.#cells[row + PortField.transmitFrames] += count
    this.#cells[row + PortField.transmitBytes] += bytes
    if (this.#tracer?.active) this.#tracer.transmitted(port, offsets, lengths, first, count)
    if (this.#captures?.active) this.#captures.transmitted(port, offsets, lengths, first, count, -1)
  }

  /** Counts dropped frames, and shows them to captures: they must still be in memory. */
  dropFrames(
    port: number,
    reason: number,
    offsets: Int32Array,
    lengths: Int32Array,
    first: number,
    count: number,
  ): void {
    this.drop(port, reason, count)
    if (this.#captures?.active) this.#captures.transmitted(port, offsets, lengths, first, count, reason)
  }

  /** Counts dropped frames that no capture can be shown any more. `reason`: one of `TransmitDrop`. */
  drop(port: number, reason: number, frames: number): void {
    this.#cells[this.#rowOf[port] + PortField.transmitDrop + reason] += frames
  }

  /** Counts as lost what the gauges say was waiting: another data plane set them, and has ended. */
  countLost(port: number): void {
    const cells = this.#cells
    const row = this.#rowOf[port]
    this.drop(port, TransmitDrop.RESTART, cells[row + PortField.queueFrames] + cells[row + PortField.lineFrames])
    cells[row + PortField.queueFrames] = 0
    cells[row + PortField.lineFrames] = 0
  }

  /** Sets the gauge of frames that the port's impairment holds. */
  gaugeLine(port: number, frames: number): void {
    this.#cells[this.#rowOf[port] + PortField.lineFrames] = frames
  }

  /** Sets the gauge of frames that wait in the port's queue. */
  gauge(port: number, frames: number): void {
    const row = this.#rowOf[port]
    this.#cells[row + PortField.queueFrames] = frames
    if (frames > this.#cells[row + PortField.queueHighWater]) this.#cells[row + PortField.queueHighWater] = frames
  }
}
