/**
 * Copies of frames for those who want to see them. Each capture has a buffer here and a socket to the main thread: frames are copied into
 * the buffer as they pass, and the buffer is written to the socket at the end of the turn, as far as the socket takes it.
 *
 * Forwarding comes first. A frame is missed, and counted, when the buffer is full because a reader is slow, and when there is no credit to
 * look at it: credit is granted for each millisecond, more for one that the loop slept than for one in which it worked. So up to some ten
 * thousand frames a second everything is in the captures; beyond that there are samples and an exact count of what is missing.
 *
 * While nothing is captured, a batch costs one look at `active`.
 */
import * as libc from '../os/libc.js'
import { NativeMemory } from '../os/native-memory.js'
import { compileFilter, type FrameFilter } from '../wire/filter.js'
import { IN, OUT, RECORD_HEADER, recordSize } from './capture-record.js'
import type { FramePool } from './frame-pool.js'

/** Bytes that wait for the main thread, for each capture: a few milliseconds of full speed. */
const BUFFER_BYTES = 2 * 1024 * 1024

/** What is to be captured, and where it goes. Structured-cloneable. */
export interface CaptureSpec {
  id: number
  /** Write end of a stream socket that does not block; the main thread's. */
  fd: number
  /** Null: every port. */
  portId: number | null
  /** At most this much of each frame. */
  snapLength: number
  /** In the words of wire/filter.ts; empty: everything. */
  filter: string
}

/**
 * Frames that are looked at for each millisecond the loop slept, for all captures together: 40,000 a second. The data plane could do
 * fifty times that in its sleep, but the main thread takes some 4 us to turn one into a block, and on a machine without cores to spare that is taken
 * from the VMs: with 2000, ten captures beside a flood on two cores left 0.47 of the throughput.
 */
const CREDIT_FOR_SLEEP = 40
/** The same for each millisecond it was busy. */
const CREDIT_FOR_WORK = 10
/** A quiet switch can take a burst of this many at once. */
const MOST_CREDIT = 32_768

/** What a capture saw of one port. */
export interface CaptureCount {
  portId: number
  /** Frames that passed while it ran. */
  seen: number
  /** Those that its filter let through. */
  accepted: number
  /** Those that it did not look at, or had no room for. */
  missed: number
}

interface Session {
  readonly spec: CaptureSpec
  readonly matches: FrameFilter | null
  readonly memory: NativeMemory
  readonly view: DataView
  /** What is written already, and where the next record goes. */
  from: number
  to: number
  /** By port index. */
  readonly seen: Float64Array
  readonly accepted: Float64Array
  readonly missed: Float64Array
  /** What had been skipped before it began. */
  readonly skipped: Float64Array
  /** Of ports whose place another has taken. */
  readonly gone: CaptureCount[]
}

export class Captures {
  /** True while something is captured. */
  active = false
  readonly #pool: FramePool
  readonly #clock: () => number
  readonly #flags: number
  readonly #idOf: Int32Array
  readonly #sessions: Session[] = []
  #credit = MOST_CREDIT
  /** By port index: frames that no capture looked at, for want of credit. */
  readonly #skipped: Float64Array

  /** `flags` are those of send(2) for a call that neither blocks nor raises a signal. */
  constructor(maxPorts: number, pool: FramePool, clock: () => number, flags: number) {
    this.#pool = pool
    this.#clock = clock
    this.#flags = flags
    this.#idOf = new Int32Array(maxPorts).fill(-1)
    this.#skipped = new Float64Array(maxPorts)
  }

  /** The port at this index is this one from now on. */
  portAt(index: number, id: number): void {
    if (this.#idOf[index] !== id) for (const session of this.#sessions) this.#takeCounts(session, index)
    this.#idOf[index] = id
  }

  /** At the beginning of a turn: how long the loop slept before it, and worked in the one before; milliseconds. */
  grant(slept: number, worked: number): void {
    this.#credit = Math.min(MOST_CREDIT, this.#credit + slept * CREDIT_FOR_SLEEP + worked * CREDIT_FOR_WORK)
  }

  start(spec: CaptureSpec): void {
    const memory = new NativeMemory(BUFFER_BYTES)
    const { buffer, byteOffset, byteLength } = memory.bytes
    const matches = spec.filter === '' ? null : compileFilter(spec.filter)
    const view = new DataView(buffer, byteOffset, byteLength)
    const [seen, accepted, missed] = [0, 0, 0].map(() => new Float64Array(this.#idOf.length))
    this.#sessions.push({
      spec,
      matches,
      memory,
      view,
      from: 0,
      to: 0,
      seen,
      accepted,
      missed,
      skipped: this.#skipped.slice(),
      gone: [],
    })
    this.active = true
  }

  /** Writes what the socket still takes, and says what was captured and missed. */
  stop(id: number): CaptureCount[] {
    const at = this.#sessions.findIndex(({ spec }) => spec.id === id)
    if (at < 0) return []
    const [session] = this.#sessions.splice(at, 1)
    this.#write(session)
    this.active = this.#sessions.length > 0
    for (let index = 0; index < this.#idOf.length; index++) this.#takeCounts(session, index)
    countUnwritten(session)
    return session.gone
  }

  /** Frames came in, and were dropped for this reason if it is not negative. */
  received(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number, reason: number): void {
    this.#note(IN, port, offsets, lengths, first, count, reason)
  }

  /** Frames went out, or did not for this reason. */
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
    for (let i = 0; i < this.#sessions.length; i++) this.#write(this.#sessions[i])
  }

  #note(
    direction: number,
    port: number,
    offsets: Int32Array,
    lengths: Int32Array,
    first: number,
    count: number,
    reason: number,
  ): void {
    if (this.#credit < 1) {
      this.#skipped[port] += count
      return
    }
    const id = this.#idOf[port]
    for (let s = 0; s < this.#sessions.length; s++) {
      const session = this.#sessions[s]
      if (session.spec.portId !== null && session.spec.portId !== id) continue
      session.seen[port] += count
      for (let i = 0; i < count; i++) {
        if (this.#credit < 1) {
          session.missed[port] += count - i
          break
        }
        this.#credit--
        this.#look(session, direction, port, offsets[first + i], lengths[first + i], reason)
      }
    }
  }

  #look(session: Session, direction: number, port: number, offset: number, length: number, reason: number): void {
    const { bytes, capacity } = this.#pool
    // A frame that did not fit its slot was cut by the kernel.
    const present = Math.min(length, capacity)
    if (session.matches !== null && !session.matches(bytes, offset, present)) return
    session.accepted[port]++
    const captured = Math.min(present, session.spec.snapLength)
    const size = recordSize(captured)
    if (session.to + size > BUFFER_BYTES) compact(session)
    if (session.to + size > BUFFER_BYTES) {
      session.missed[port]++
      return
    }
    const { view, memory, to } = session
    view.setUint32(to, size, true)
    view.setUint32(to + 4, this.#idOf[port], true)
    view.setFloat64(to + 8, this.#clock(), true)
    view.setUint32(to + 16, length, true)
    view.setUint32(to + 20, captured, true)
    view.setUint8(to + 24, direction)
    view.setUint8(to + 25, reason + 1)
    memory.bytes.set(bytes.subarray(offset, offset + captured), to + RECORD_HEADER)
    session.to = to + size
  }

  #takeCounts({ spec, seen, accepted, missed, skipped, gone }: Session, index: number): void {
    const portId = this.#idOf[index]
    const unseen = spec.portId === null || spec.portId === portId ? this.#skipped[index] - skipped[index] : 0
    skipped[index] = this.#skipped[index]
    const passed = seen[index] + unseen
    if (passed > 0) gone.push({ portId, seen: passed, accepted: accepted[index], missed: missed[index] + unseen })
    for (const counts of [seen, accepted, missed]) counts[index] = 0
  }

  #write(session: Session): void {
    while (session.from < session.to) {
      const { spec, memory, from, to } = session
      const sent = libc.send(spec.fd, memory.address + from, to - from, this.#flags)
      // Full, or nobody reads any more: the main thread will say so.
      if (sent <= 0) return
      session.from += sent
    }
    session.from = 0
    session.to = 0
  }
}

/** Lets go of the records that were written whole; the first one in the buffer begins at 0, always. */
function compact(session: Session): void {
  let at = 0
  for (let size = 0; ; at += size) {
    size = session.view.getUint32(at, true)
    if (at + size > session.from) break
  }
  session.memory.bytes.copyWithin(0, at, session.to)
  session.from -= at
  session.to -= at
}

/** What is still in the buffer at the end never left it. A record that was written in part is among them. */
function countUnwritten({ view, from, to, gone }: Session): void {
  let at = 0
  while (at < to) {
    const size = view.getUint32(at, true)
    const portId = view.getUint32(at + 4, true)
    const count = gone.find(each => each.portId === portId)
    if (at + size > from && count !== undefined) count.missed++
    at += size
  }
}
