/**
 * What the conformance suite asks of a transport under test: a switch with nothing but that transport, and stations on
 * it.
 */
import type { CaptureRecord } from '#src/dataplane/capture-record.js'
import type { PortRecord } from '#src/dataplane/data-plane.js'
import type { PortCounters } from '#src/dataplane/shared-memory.js'

export interface RigOptions {
  /** Bytes; of the switch and of every port. */
  maxFrameSize: number
  /** Frames that may wait for a port. */
  queueFrames: number
}

export interface Harness {
  /** Lengths below a header that the transport can carry. */
  readonly runts: readonly number[]
  /** Frames that may be on their way at once where nothing may be lost; default 128. */
  readonly window?: number
  /** False where the kernel loses what a receiver does not take, and no sender hears of it; default true. */
  readonly backPressure?: boolean
  /** Lengths above 1518 that the transport can carry to a switch that takes no more; default 1519, 1520 and 3000. */
  readonly oversize?: readonly number[]
  /**
   * False where only a slot's worth of a longer frame is counted: the kernel does not tell how long it was; default
   * true on Linux.
   */
  readonly trueLengths?: boolean
  /** False where nothing tells that a peer has gone, so that its port stays up; default true. */
  readonly noticesDeparture?: boolean
  /** False where a peer that comes back cannot be known, and gets a port of its own; default true. */
  readonly keepsPort?: boolean
  /** False where what a peer was reached by ends with it, so that none can come back; default true. */
  readonly comesBack?: boolean
  start(options: RigOptions): Promise<Rig>
}

export interface Rig {
  /**
   * Station `number` joins and is known to the switch when this resolves. Called again after it left, it comes back to
   * where it was. Its address is `addressOf(number)`.
   */
  join(number: number): Promise<Station>
  /** The port of a station that joined. */
  port(number: number): PortRecord
  counters(number: number): PortCounters
  /** Resolves when it is so; rejects after a bounded time. */
  until(what: string, condition: () => boolean): Promise<void>
  /**
   * Starts a capture of all ports. What it returns ends the capture and resolves to what was captured. Absent: no data
   * plane to ask.
   */
  capture?(): Promise<() => Promise<CaptureRecord[]>>
  /** Puts a new data plane in the place of the running one: on purpose, or because that one died. */
  replace(how: 'planned' | 'crash'): Promise<void>
  /** Stations are gone after it, and what they had made too. Returns the names of files that the switch left behind. */
  stop(): Promise<string[]>
}

export interface Station {
  /** Resolves when all are on their way; waits as long as the transport makes the sender wait. */
  send(frames: readonly Uint8Array[]): Promise<void>
  /** The next frames. Rejects when they do not come in a bounded time. */
  receive(count: number): Promise<Uint8Array[]>
  /** Takes nothing from now on; what is on its way waits where it is. */
  stall(): void
  resume(): void
  /** Ends without a word. */
  leave(): void
}

export const addressOf = (number: number) => `02:00:00:00:01:${number.toString(16).padStart(2, '0')}`
