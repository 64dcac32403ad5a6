/**
 * The way out of the switch: staging, sending, waiting.
 *
 * While a batch is switched, each frame is *staged* for its egress ports: only its number is noted. Then every port that got
 * something sends all of it in one call, straight from the memory it was received into. What the port does not take waits in
 * its queue, in order, and the port is *blocked*: nothing overtakes the queue, and the descriptor is watched for
 * writability. Watching costs the receiver a wake-up for each frame it reads, so it starts with the first refusal and ends
 * with the queue. Where the kernel says "writable" of a socket that is not (an unconnected datagram socket asks only about its
 * own buffer), or says nothing at all (macOS answers ENOBUFS and stays writable), the port is tried again by the clock.
 *
 * A port may have an impairment, a line that loses and delays on purpose; its frames are sent when they leave the line.
 *
 * No port waits for another: a blocked port costs the others the memory of its queue and nothing else.
 */
import { transmitDropReasons } from '../switch/drop-reason.js'
import type { Captures } from './captures.js'
import type { DescriptorTable } from './descriptor-table.js'
import { EgressQueue } from './egress-queue.js'
import { type Endpoint, Fault } from './endpoint.js'
import { LIST } from './frame-list.js'
import type { FramePool } from './frame-pool.js'
import { Impairment, type ImpairmentSettings } from './impairment.js'
import { BATCH } from './receive-batch.js'
import { PortField, type SharedCounters } from './shared-memory.js'
import type { Tracer } from './tracer.js'

/** Frames that can be staged for a port at a time. */
const STAGE = Math.max(BATCH, LIST)

/** Milliseconds between attempts where the kernel does not tell when a port takes frames again. */
export const RETRY_MS = 1
/** Calls in a row that may fail for one port in one turn before it has to wait; a peer cannot keep us in the loop. */
const MAX_FAULTS = 8

const QUEUE_FULL = transmitDropReasons.indexOf('queue-full')
const OVERSIZE = transmitDropReasons.indexOf('oversize')
const PEER_GONE = transmitDropReasons.indexOf('peer-gone')
const ERROR = transmitDropReasons.indexOf('error')
const IMPAIRED = transmitDropReasons.indexOf('impaired')

/** Where frames lie: a ReceiveBatch, a FrameList. */
export interface Frames {
  readonly offset: Int32Array
  readonly length: Int32Array
}

export class Egress {
  /** Ports that wait to be tried again by the clock. */
  readonly retry: number[] = []
  readonly #pool: FramePool
  readonly #cells: Float64Array
  readonly #descriptors: DescriptorTable
  readonly #rowOf: Int32Array
  readonly #endpointOf: (Endpoint | null)[]
  readonly #queueOf: (EgressQueue | null)[]
  /** Frames that the port's endpoint takes in one call. */
  readonly #maxTransmit: Int32Array
  readonly #impairmentOf: (Impairment | null)[]
  /** Ports that have one. */
  readonly #impaired: number[] = []
  readonly #tracer: Tracer | null
  readonly #captures: Captures | null
  /** 1 while the port must not send past its queue. */
  readonly #blocked: Uint8Array
  /** The descriptor a blocked port waits for; -1 when by the clock. */
  readonly #waitsFor: Int32Array
  readonly #lastProgress: Float64Array
  /** Frames staged for each port in this batch: STAGE places for each. */
  readonly #stagedOffset: Int32Array
  readonly #stagedLength: Int32Array
  readonly #stagedCount: Int32Array
  readonly #touched: Int32Array
  #touchedCount = 0
  /** Set by #send when it found nobody at the other end. */
  #gone = false
  #now = 0

  constructor(
    maxPorts: number,
    pool: FramePool,
    counters: SharedCounters,
    descriptors: DescriptorTable,
    tracer: Tracer | null = null,
    captures: Captures | null = null,
  ) {
    this.#pool = pool
    this.#cells = counters.cells
    this.#descriptors = descriptors
    this.#rowOf = Int32Array.from({ length: maxPorts }, (_, index) => counters.portRow(index))
    this.#endpointOf = new Array(maxPorts).fill(null)
    this.#queueOf = new Array(maxPorts).fill(null)
    this.#impairmentOf = new Array(maxPorts).fill(null)
    this.#tracer = tracer
    this.#captures = captures
    this.#maxTransmit = new Int32Array(maxPorts)
    this.#blocked = new Uint8Array(maxPorts)
    this.#waitsFor = new Int32Array(maxPorts).fill(-1)
    this.#lastProgress = new Float64Array(maxPorts)
    this.#stagedOffset = new Int32Array(maxPorts * STAGE)
    this.#stagedLength = new Int32Array(maxPorts * STAGE)
    this.#stagedCount = new Int32Array(maxPorts)
    this.#touched = new Int32Array(maxPorts)
  }

  addPort(port: number, endpoint: Endpoint, queueFrames: number): void {
    this.#endpointOf[port] = endpoint
    this.#maxTransmit[port] = Math.min(STAGE, endpoint.maxTransmit ?? BATCH)
    this.setQueueLimit(port, queueFrames)
  }

  removePort(port: number): void {
    this.drain(port)
    this.setImpairment(port, '', null)
    this.#endpointOf[port] = null
    this.#queueOf[port] = null
  }

  /** Frames that wait already stay, up to the new limit. */
  setQueueLimit(port: number, queueFrames: number): void {
    const before = this.#queueOf[port]
    if (before?.limit === queueFrames) return
    const queue = new EgressQueue(this.#pool, queueFrames)
    let unfinished = this.#endpointOf[port]?.unfinished?.(port) === true
    for (; before !== null && before.count > 0; before.shift(1)) {
      const offset = before.offset[before.head]
      const length = before.length[before.head]
      if (unfinished) queue.pushUnfinished(offset, length)
      else if (!queue.push(offset, length)) this.#drop(port, QUEUE_FULL, 1)
      unfinished = false
    }
    this.#queueOf[port] = queue
    this.#gauge(port, queue)
  }

  /** The line begins anew when the settings differ from before; what the old one held is sent at once. */
  setImpairment(port: number, portName: string, settings: ImpairmentSettings | null): void {
    const before = this.#impairmentOf[port]
    if (JSON.stringify(before?.settings ?? null) === JSON.stringify(settings)) return
    if (before !== null) {
      this.#release(port, before, Number.POSITIVE_INFINITY)
      this.#impaired.splice(this.#impaired.indexOf(port), 1)
    }
    this.#impairmentOf[port] = settings === null ? null : new Impairment(settings, portName, this.#pool)
    if (settings !== null) this.#impaired.push(port)
  }

  /** When the next frame leaves an impaired line; Infinity when none is on one. */
  get nextReleaseAt(): number {
    let at = Number.POSITIVE_INFINITY
    for (let i = 0; i < this.#impaired.length; i++) {
      at = Math.min(at, (this.#impairmentOf[this.#impaired[i]] as Impairment).nextDueAt)
    }
    return at
  }

  /** Sends or queues what is due on impaired lines. */
  releaseDue(now: number): void {
    this.#now = now
    // Backwards: a port that is found gone may be removed.
    for (let i = this.#impaired.length - 1; i >= 0; i--) {
      const port = this.#impaired[i]
      this.#release(port, this.#impairmentOf[port] as Impairment, now)
    }
  }

  /**
   * Notes that frames `first` to `first + count - 1` of a batch or list go out of `port`, as far as they fit there. Of one
   * batch or list, no more than it holds may be staged between two calls of `flush`.
   */
  stage(port: number, frames: Frames, first: number, count: number, maxFrameSize: Int32Array): void {
    const { offset, length } = frames
    const longest = maxFrameSize[port]
    const before = this.#stagedCount[port]
    let at = port * STAGE + before
    for (let i = first; i < first + count; i++) {
      if (length[i] > longest) {
        this.#dropFrames(port, OVERSIZE, offset, length, i, 1)
        continue
      }
      this.#stagedOffset[at] = offset[i]
      this.#stagedLength[at] = length[i]
      at++
    }
    const staged = at - port * STAGE
    if (before === 0 && staged > 0) this.#touched[this.#touchedCount++] = port
    this.#stagedCount[port] = staged
  }

  /** Sends or queues everything staged. */
  flush(now: number): void {
    this.#now = now
    for (let i = 0; i < this.#touchedCount; i++) {
      const port = this.#touched[i]
      const count = this.#stagedCount[port]
      this.#stagedCount[port] = 0
      const first = port * STAGE
      const impairment = this.#impairmentOf[port]
      if (impairment === null) this.#deliver(port, this.#stagedOffset, this.#stagedLength, first, count)
      else this.#impair(port, impairment, first, count)
    }
    this.#touchedCount = 0
  }

  /** Tries a blocked port again. One batch; the rest follows when it is writable once more, after the others had their turn. */
  resume(port: number, now: number): void {
    this.#now = now
    const queue = this.#queueOf[port]
    if (this.#blocked[port] === 0 || queue === null) return
    for (let rounds = 0; rounds < 2 && queue.count > 0; rounds++) {
      const count = Math.min(this.#maxTransmit[port], queue.contiguous())
      const sent = this.#send(port, queue.offset, queue.length, queue.head, count)
      queue.shift(sent)
      if (this.#gone) this.#takeDown(port)
      if (sent < count) break
    }
    this.#gauge(port, queue)
    if (queue.count === 0) this.#unblock(port)
  }

  /** Drops what waits, because nobody is there to get it. */
  drain(port: number): void {
    const queue = this.#queueOf[port]
    if (queue === null) return
    this.#drop(port, PEER_GONE, this.#impairmentOf[port]?.discard() ?? 0)
    for (let count = queue.contiguous(); count > 0; count = queue.contiguous()) {
      this.#dropFrames(port, PEER_GONE, queue.offset, queue.length, queue.head, count)
      queue.shift(count)
    }
    this.#gauge(port, queue)
    this.#unblock(port)
  }

  /** A copy of the frame that waits first for this port; null where none does. */
  head(port: number): Uint8Array | null {
    const queue = this.#queueOf[port]
    if (queue === null || queue.count === 0) return null
    const offset = queue.offset[queue.head]
    return this.#pool.bytes.slice(offset, offset + queue.length[queue.head])
  }

  /** Frames that wait for this port. */
  waiting(port: number): number {
    return this.#queueOf[port]?.count ?? 0
  }

  queueLimit(port: number): number {
    return this.#queueOf[port]?.limit ?? 0
  }

  /** When this port last took a frame; milliseconds. */
  lastProgress(port: number): number {
    return this.#lastProgress[port]
  }

  #deliver(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): void {
    const waits = this.#blocked[port] === 1
    const sent = waits ? 0 : this.#send(port, offsets, lengths, first, count)
    if (this.#gone) this.#takeDown(port)
    else if (sent < count && !waits && this.#endpointOf[port]?.unfinished?.(port) === true) {
      this.#enqueueUnfinished(port, offsets, lengths, first + sent, count - sent)
    } else if (sent < count) this.#enqueue(port, offsets, lengths, first + sent, count - sent)
  }

  #impair(port: number, impairment: Impairment, first: number, count: number): void {
    impairment.take(this.#stagedOffset, this.#stagedLength, first, count, this.#now)
    if (impairment.lost > 0) this.#drop(port, IMPAIRED, impairment.lost)
    if (impairment.refused > 0) this.#drop(port, QUEUE_FULL, impairment.refused)
    this.#release(port, impairment, this.#now)
  }

  #release(port: number, impairment: Impairment, now: number): void {
    const { offsets, lengths } = impairment
    for (let count = impairment.release(now); count > 0; count = impairment.release(now)) {
      this.#deliver(port, offsets, lengths, 0, count)
      for (let i = 0; i < count; i++) this.#pool.release(offsets[i])
    }
  }

  /** Returns how many frames are done with, sent or dropped with a reason; fewer than `count` means: wait. */
  #send(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const endpoint = this.#endpointOf[port] as Endpoint
    let done = 0
    for (let faults = 0; done < count && faults < MAX_FAULTS; ) {
      const asked = Math.min(count - done, this.#maxTransmit[port])
      const taken = endpoint.transmit(port, offsets, lengths, first + done, asked)
      if (taken > 0) {
        this.#countSent(port, offsets, lengths, first + done, taken)
        done += taken
        if (done === count) return count
        if (taken === asked) continue
        // The kernel stopped in the middle: full, nearly always. If it was an error, it will be the next answer.
        break
      }
      faults++
      switch (taken === 0 ? Fault.wait : endpoint.fault(port, -taken)) {
        case Fault.wait:
          this.#block(port, endpoint)
          return done
        case Fault.skip:
          this.#dropFrames(port, ERROR, offsets, lengths, first + done, 1)
          done++
          break
        case Fault.tooLong:
          this.#drop(port, OVERSIZE, 1)
          done++
          break
        case Fault.gone:
          this.#gone = true
          this.#dropFrames(port, PEER_GONE, offsets, lengths, first + done, count - done)
          return count
      }
    }
    if (done < count) this.#block(port, endpoint)
    return done
  }

  // Not inside #send: the queue still holds what was just sent, and going down drops the queue.
  #takeDown(port: number): void {
    this.#gone = false
    this.#endpointOf[port]?.gone(port)
  }

  #countSent(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): void {
    let bytes = 0
    for (let i = first; i < first + count; i++) bytes += lengths[i]
    const row = this.#rowOf[port]
    this.#cells[row + PortField.transmitFrames] += count
    this.#cells[row + PortField.transmitBytes] += bytes
    this.#lastProgress[port] = this.#now
    if (this.#tracer?.active) this.#tracer.transmitted(port, offsets, lengths, first, count)
    if (this.#captures?.active) this.#captures.transmitted(port, offsets, lengths, first, count, -1)
  }

  #enqueue(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): void {
    const queue = this.#queueOf[port] as EgressQueue
    let queued = 0
    while (queued < count && queue.push(offsets[first + queued], lengths[first + queued])) queued++
    if (queued < count) this.#dropFrames(port, QUEUE_FULL, offsets, lengths, first + queued, count - queued)
    this.#gauge(port, queue)
  }

  /** Of the first frame a part was sent already. Without it the peer would read noise, so it is kept or the port ends. */
  #enqueueUnfinished(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): void {
    const queue = this.#queueOf[port] as EgressQueue
    if (queue.pushUnfinished(offsets[first], lengths[first])) {
      this.#enqueue(port, offsets, lengths, first + 1, count - 1)
    } else {
      this.#drop(port, ERROR, count)
      this.#takeDown(port)
    }
  }

  #block(port: number, endpoint: Endpoint): void {
    if (this.#blocked[port] === 1) return
    this.#blocked[port] = 1
    const fd = endpoint.egressDescriptor(port)
    this.#waitsFor[port] = fd
    if (fd < 0) this.retry.push(port)
    else this.#descriptors.awaitWritable(fd, endpoint, port)
  }

  #unblock(port: number): void {
    if (this.#blocked[port] === 0) return
    this.#blocked[port] = 0
    const fd = this.#waitsFor[port]
    if (fd >= 0) this.#descriptors.writableSettled(fd, port)
    else this.retry.splice(this.retry.indexOf(port), 1)
    this.#waitsFor[port] = -1
  }

  /** Drops frames that are still at hand, for a capture to see. */
  #dropFrames(
    port: number,
    reason: number,
    offsets: Int32Array,
    lengths: Int32Array,
    first: number,
    count: number,
  ): void {
    this.#drop(port, reason, count)
    if (this.#captures?.active) this.#captures.transmitted(port, offsets, lengths, first, count, reason)
  }

  #drop(port: number, reason: number, frames: number): void {
    this.#cells[this.#rowOf[port] + PortField.transmitDrop + reason] += frames
  }

  #gauge(port: number, queue: EgressQueue): void {
    const row = this.#rowOf[port]
    this.#cells[row + PortField.queueFrames] = queue.count
    if (queue.count > this.#cells[row + PortField.queueHighWater]) {
      this.#cells[row + PortField.queueHighWater] = queue.count
    }
  }
}
