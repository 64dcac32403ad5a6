/**
 * One capture on the data plane: a buffer of records on their way to the main thread, and counts for each port.
 *
 * The buffer is written to a socket at the end of each turn, as far as the socket takes it. A frame that finds no room
 * is counted as missed. Everything is bounded: the buffer, the counts by port index, and the list of ports that are
 * gone (MAX_CAPTURED_PORTS; later ones are counted together).
 */
import * as libc from '../os/libc.js'
import { NativeMemory } from '../os/native-memory.js'
import { type BpfProgram, compileBpf, type FrameFilter } from '../wire/bpf.js'
import {
  encodeLabel,
  MAX_CAPTURED_PORTS,
  OTHER_PORTS,
  PORT,
  type PortLabel,
  RECORD_HEADER,
  recordSize,
} from './capture-record.js'

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
  /** Null: everything. */
  filter: BpfProgram | null
}

export interface CapturedPort extends PortLabel {
  readonly id: number
}

/** What a capture saw of one port; of all ports beyond MAX_CAPTURED_PORTS with the id OTHER_PORTS. */
export interface CaptureCount extends PortLabel {
  portId: number
  /** Frames that passed while it ran. */
  seen: number
  /** Those that its filter let through. */
  accepted: number
  /** Those that it did not look at, or had no room for. */
  missed: number
}

export class CaptureSession {
  readonly spec: CaptureSpec
  /** By port index. */
  readonly seen: Float64Array
  readonly missed: Float64Array
  readonly #accepted: Float64Array
  /** By port index: what had been skipped when the port's counts began. */
  readonly #skipped: Float64Array
  readonly #matches: FrameFilter | null
  readonly #memory = new NativeMemory(BUFFER_BYTES)
  readonly #view = new DataView(this.#memory.buffer)
  readonly #clock: () => number
  readonly #flags: number
  /** What is written already, and where the next record goes. */
  #from = 0
  #to = 0
  /** By port index: the id that was named last, -1 without. */
  readonly #namedId: Int32Array
  #portsNamed = 0
  /** Of ports whose place another has taken, and at the end of all. */
  readonly #gone: CaptureCount[] = []
  #others: CaptureCount | undefined

  /**
   * @param skipped by port index: frames that no capture looked at so far
   * @param clock milliseconds on the clock all threads share
   * @param flags those of send(2) for a call that neither blocks nor raises a signal
   */
  constructor(spec: CaptureSpec, skipped: Float64Array, clock: () => number, flags: number) {
    const maxPorts = skipped.length
    this.spec = spec
    this.seen = new Float64Array(maxPorts)
    this.missed = new Float64Array(maxPorts)
    this.#accepted = new Float64Array(maxPorts)
    this.#skipped = skipped.slice()
    this.#matches = spec.filter === null ? null : compileBpf(spec.filter)
    this.#clock = clock
    this.#flags = flags
    this.#namedId = new Int32Array(maxPorts).fill(-1)
  }

  /**
   * Records the frame when the filter lets it through.
   * @param present bytes that the port sent and that lie at `offset`
   * @param length bytes of the frame on the wire
   */
  note(
    direction: number,
    index: number,
    port: CapturedPort,
    bytes: Uint8Array,
    offset: number,
    present: number,
    length: number,
    reason: number,
  ): void {
    if (this.#matches !== null && !this.#matches(bytes, offset, present, length)) return
    this.#accepted[index]++
    const captured = Math.min(present, this.spec.snapLength)
    const id = this.#placeOf(index, port)
    if (id < 0 || !this.#makeRoom(recordSize(captured))) {
      this.missed[index]++
      return
    }
    const at = this.#header(direction, id, captured)
    this.#view.setFloat64(at + 8, this.#clock(), true)
    this.#view.setUint32(at + 16, length, true)
    this.#view.setUint8(at + 25, reason + 1)
    this.#memory.bytes.set(bytes.subarray(offset, offset + captured), at + RECORD_HEADER)
  }

  /** Hands the socket what it takes now. */
  write(): void {
    const { address } = this.#memory
    while (this.#from < this.#to) {
      const sent = libc.send(this.spec.fd, address + this.#from, this.#to - this.#from, this.#flags)
      // The socket is full, or its reader is gone: the main thread will say so.
      if (sent <= 0) return
      this.#from += sent
    }
    this.#from = 0
    this.#to = 0
  }

  /** Another port takes the place at `index`, or the capture ends: puts the counts of `port` aside. */
  takeCounts(index: number, port: CapturedPort, skipped: number): void {
    const isMine = this.spec.portId === null || this.spec.portId === port.id
    const unseen = isMine ? skipped - this.#skipped[index] : 0
    this.#skipped[index] = skipped
    const seen = this.seen[index] + unseen
    if (seen > 0) this.#putAside(port, seen, this.#accepted[index], this.missed[index] + unseen)
    this.seen[index] = 0
    this.missed[index] = 0
    this.#accepted[index] = 0
  }

  /** Ends the capture: writes what the socket still takes; what it does not take is counted as missed. */
  finish(): CaptureCount[] {
    this.write()
    const counts = new Map(this.#gone.map(count => [count.portId, count]))
    for (let at = 0; at < this.#to; ) {
      const size = this.#view.getUint32(at, true)
      const portId = this.#view.getUint32(at + 4, true)
      const count = counts.get(portId) ?? this.#others
      const isFrame = this.#view.getUint8(at + 24) !== PORT
      if (at + size > this.#from && isFrame && count !== undefined) count.missed++
      at += size
    }
    return this.#others === undefined ? this.#gone : [...this.#gone, this.#others]
  }

  #putAside({ id, name, kind }: CapturedPort, seen: number, accepted: number, missed: number): void {
    if (this.#gone.length < MAX_CAPTURED_PORTS) {
      this.#gone.push({ portId: id, name, kind, seen, accepted, missed })
      return
    }
    this.#others ??= { portId: OTHER_PORTS, name: '', kind: '', seen: 0, accepted: 0, missed: 0 }
    this.#others.seen += seen
    this.#others.accepted += accepted
    this.#others.missed += missed
  }

  /** The id for the port's records; its first one is preceded by its name. -1 when there is no room to name it. */
  #placeOf(index: number, { id, name, kind }: CapturedPort): number {
    if (this.#namedId[index] === id) return id
    if (this.#portsNamed === MAX_CAPTURED_PORTS) return OTHER_PORTS
    const label = encodeLabel({ name, kind })
    if (!this.#makeRoom(recordSize(label.length))) return -1
    this.#memory.bytes.set(label, this.#header(PORT, id, label.length) + RECORD_HEADER)
    this.#namedId[index] = id
    this.#portsNamed++
    return id
  }

  /** Takes the room for a record, which must be there, and returns where it begins. */
  #header(kind: number, portId: number, captured: number): number {
    const at = this.#to
    const size = recordSize(captured)
    this.#view.setUint32(at, size, true)
    this.#view.setUint32(at + 4, portId, true)
    this.#view.setUint32(at + 20, captured, true)
    this.#view.setUint8(at + 24, kind)
    this.#view.setUint8(at + 25, 0)
    this.#to = at + size
    return at
  }

  #makeRoom(size: number): boolean {
    if (this.#to + size > BUFFER_BYTES) this.#compact()
    return this.#to + size <= BUFFER_BYTES
  }

  /** Forgets the records that were written whole; the first one in the buffer begins at 0, always. */
  #compact(): void {
    let at = 0
    for (let size = 0; at < this.#from; at += size) {
      size = this.#view.getUint32(at, true)
      if (at + size > this.#from) break
    }
    this.#memory.bytes.copyWithin(0, at, this.#to)
    this.#from -= at
    this.#to -= at
  }
}
