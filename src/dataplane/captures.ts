/**
 * Copies of frames for the main thread, which makes files of them. Each capture has a buffer and a socket
 * (capture-session.ts): frames are copied into the buffer as they pass, and the buffer is written to the socket at the
 * end of the turn.
 *
 * Forwarding comes first. A frame is missed, and counted, when the buffer is full because a reader is slow, and when
 * there is no credit to look at it: credit is granted for each millisecond, more for one that the loop slept than for
 * one in which it worked. So up to some ten thousand frames a second everything is in the captures; beyond that there
 * are samples and an exact count of what is missing.
 *
 * A capture holds only bytes that the port sent. While nothing is captured, a batch costs one look at `active`.
 */
import { IN, OUT } from './capture-record.js'
import { type CaptureCount, type CapturedPort, CaptureSession, type CaptureSpec } from './capture-session.js'
import type { FramePool } from './frame-pool.js'

/**
 * Frames that are looked at for each millisecond the loop slept, for all captures together: 40,000 a second. The data
 * plane could do fifty times that in its sleep, but the main thread takes some 4 us to turn one into a block, and on a
 * machine without cores to spare that is taken from the VMs: with 2000, ten captures beside a flood on two cores left
 * 0.47 of the throughput.
 */
const CREDIT_FOR_SLEEP = 40
/** The same for each millisecond it was busy. */
const CREDIT_FOR_WORK = 10
/** A quiet switch can take a burst of this many at once. */
const MOST_CREDIT = 32_768

export class Captures {
  /** True while something is captured. */
  active = false
  readonly #pool: FramePool
  readonly #clock: () => number
  readonly #flags: number
  readonly #ports: (CapturedPort | null)[]
  readonly #sessions: CaptureSession[] = []
  #credit = MOST_CREDIT
  /** By port index: frames that no capture looked at, for want of credit. */
  readonly #skipped: Float64Array

  /** `flags` are those of send(2) for a call that neither blocks nor raises a signal. */
  constructor(maxPorts: number, pool: FramePool, clock: () => number, flags: number) {
    this.#pool = pool
    this.#clock = clock
    this.#flags = flags
    this.#ports = new Array(maxPorts).fill(null)
    this.#skipped = new Float64Array(maxPorts)
  }

  /** The port at this index is this one from now on. */
  portAt(index: number, port: CapturedPort): void {
    const before = this.#ports[index]
    if (before !== null && before.id !== port.id) {
      for (const session of this.#sessions) session.takeCounts(index, before, this.#skipped[index])
    }
    this.#ports[index] = port
  }

  /** At the beginning of a turn: how long the loop slept before it, and worked in the one before; milliseconds. */
  grant(slept: number, worked: number): void {
    this.#credit = Math.min(MOST_CREDIT, this.#credit + slept * CREDIT_FOR_SLEEP + worked * CREDIT_FOR_WORK)
  }

  /** Throws FilterError when the filter's program cannot be run. */
  start(spec: CaptureSpec): void {
    this.#sessions.push(new CaptureSession(spec, this.#skipped, this.#clock, this.#flags))
    this.active = true
  }

  /** Writes what the socket still takes, and returns what was captured and missed. */
  stop(id: number): CaptureCount[] {
    const at = this.#sessions.findIndex(({ spec }) => spec.id === id)
    if (at < 0) return []
    const [session] = this.#sessions.splice(at, 1)
    this.active = this.#sessions.length > 0
    for (const [index, port] of this.#ports.entries()) {
      if (port !== null) session.takeCounts(index, port, this.#skipped[index])
    }
    return session.finish()
  }

  /** Frames came in, and were dropped for this reason if it is not negative. */
  received(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number, reason: number): void {
    this.#note(IN, port, offsets, lengths, first, count, reason)
  }

  /** Frames went out, or were dropped on the way for this reason if it is not negative. */
  transmitted(
    port: number,
    offsets: Int32Array,
    lengths: Int32Array,
    first: number,
    count: number,
    reason: number,
  ): void {
    this.#note(OUT, port, offsets, lengths, first, count, reason)
  }

  /** At the end of a turn. */
  flush(): void {
    for (let i = 0; i < this.#sessions.length; i++) this.#sessions[i].write()
  }

  #note(
    direction: number,
    index: number,
    offsets: Int32Array,
    lengths: Int32Array,
    first: number,
    count: number,
    reason: number,
  ): void {
    const port = this.#ports[index]
    if (this.#credit < 1 || port === null) {
      this.#skipped[index] += count
      return
    }
    const { bytes, capacity } = this.#pool
    for (let s = 0; s < this.#sessions.length; s++) {
      const session = this.#sessions[s]
      if (session.spec.portId !== null && session.spec.portId !== port.id) continue
      session.seen[index] += count
      for (let i = first; i < first + count; i++) {
        if (this.#credit < 1) {
          session.missed[index] += first + count - i
          break
        }
        this.#credit--
        // The kernel cut a frame that did not fit its slot.
        const present = Math.min(lengths[i], capacity)
        session.note(direction, index, port, bytes, offsets[i], present, lengths[i], reason)
      }
    }
  }
}
