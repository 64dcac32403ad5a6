/**
 * The way out of the switch: staging, sending, waiting.
 *
 * While a batch is switched, each frame is *staged* for its egress ports: only its number is noted. Then every port
 * that got something sends all of it in one call, straight from the memory it was received into. What the port does not
 * take waits in its queue, in order, and the port is *blocked*: nothing overtakes the queue, and the descriptor is
 * watched for writability. Watching costs the receiver a wake-up for each frame it reads, so it starts with the first
 * refusal and ends with the queue. Where the kernel says "writable" of a socket that is not (an unconnected datagram
 * socket asks only about its own buffer), or says nothing at all (macOS answers ENOBUFS and stays writable), the port
 * is tried again by the clock.
 *
 * A port may have an impairment, a line that loses and delays on purpose; its frames are sent when they leave the line.
 *
 * No port waits for another: a blocked port costs the others the memory of its queue and nothing else.
 */
import type { Captures } from './captures.js'
import type { DescriptorTable } from './descriptor-table.js'
import { EgressLedger, TransmitDrop } from './egress-ledger.js'
import { EgressQueue } from './egress-queue.js'
import { type Endpoint, Fault } from './endpoint.js'
import { LIST } from './frame-list.js'
import type { FramePool } from './frame-pool.js'
import type { ImpairmentSettings } from './impairment.js'
import { Impairments } from './impairments.js'
import { BATCH } from './receive-batch.js'
import type { SharedCounters } from './shared-memory.js'
import type { Tracer } from './tracer.js'

/** Frames that can be staged for a port at a time. */
const STAGE = Math.max(BATCH, LIST)

/** Milliseconds between attempts where the kernel does not tell when a port takes frames again. */
export const RETRY_MS = 1
/** Calls in a row that may fail for one port in one turn before it has to wait; a peer cannot keep us in the loop. */
const MAX_FAULTS = 8

const { QUEUE_FULL, OVERSIZE, PEER_GONE, ERROR } = TransmitDrop

/** Where frames lie: a ReceiveBatch, a FrameList. */
export interface Frames {
  readonly offset: Int32Array
  readonly length: Int32Array
}

export class Egress {
  /** Ports that wait to be tried again by the clock. */
  readonly retry: number[] = []
  readonly #pool: FramePool
  readonly #ledger: EgressLedger
  readonly #impairments: Impairments
  readonly #descriptors: DescriptorTable
  readonly #endpointOf: (Endpoint | null)[]
  readonly #queueOf: (EgressQueue | null)[]
  /** Frames that the port's endpoint takes in one call. */
  readonly #maxTransmit: Int32Array
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
    this.#ledger = new EgressLedger(maxPorts, counters, tracer, captures)
    this.#impairments = new Impairments(maxPorts, pool, this.#ledger, (port, offsets, lengths, first, count) =>
      this.#deliver(port, offsets, lengths, first, count),
    )
    this.#descriptors = descriptors
    this.#endpointOf = new Array(maxPorts).fill(null)
    this.#queueOf = new Array(maxPorts).fill(null)
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

  /** `reason`: why what waits for the port is dropped; one of `TransmitDrop`. */
  removePort(port: number, reason: number = PEER_GONE): void {
    this.drain(port, reason)
    this.#impairments.remove(port)
    this.#endpointOf[port] = null
    this.#queueOf[port] = null
  }

  /** Frames that wait already stay, up to the new limit; one that was sent in part stays in any case. */
  setQueueLimit(port: number, queueFrames: number): void {
    const before = this.#queueOf[port]
    if (before?.limit === queueFrames) return
    const queue = new EgressQueue(this.#pool, queueFrames)
    if (before !== null) {
      const least = this.#endpointOf[port]?.unfinished?.(port) === true ? 1 : 0
      this.#ledger.drop(port, QUEUE_FULL, queue.takeOver(before, least))
    }
    this.#queueOf[port] = queue
    this.#ledger.gauge(port, queue.count)
  }

  /** The line begins anew when the settings differ from before; what the old one held is sent at once. */
  setImpairment(port: number, portName: string, settings: ImpairmentSettings | null): void {
    this.#impairments.set(port, portName, settings)
  }

  /** When the next frame leaves an impaired line; Infinity when none is on one. */
  get nextReleaseAt(): number {
    return this.#impairments.nextReleaseAt
  }

  /** Sends or queues what is due on impaired lines. */
  releaseDue(now: number): void {
    this.#now = now
    this.#impairments.releaseDue(now)
  }

  /**
   * Notes that frames `first` to `first + count - 1` of a batch or list go out of `port`, as far as they fit there. Of
   * one batch or list, no more than it holds may be staged between two calls of `flush`.
   */
  stage(port: number, frames: Frames, first: number, count: number, maxFrameSize: Int32Array): void {
    const { offset, length } = frames
    const longest = maxFrameSize[port]
    const before = this.#stagedCount[port]
    let at = port * STAGE + before
    for (let i = first; i < first + count; i++) {
      if (length[i] > longest) {
        this.#ledger.dropFrames(port, OVERSIZE, offset, length, i, 1)
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
      if (!this.#impairments.impairs(port)) this.#deliver(port, this.#stagedOffset, this.#stagedLength, first, count)
      else this.#impairments.take(port, this.#stagedOffset, this.#stagedLength, first, count, now)
    }
    this.#touchedCount = 0
  }

  /**
   * Tries a blocked port again. One batch; the rest follows when it is writable once more, after the others had their
   * turn.
   */
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
    this.#ledger.gauge(port, queue.count)
    if (queue.count === 0) this.#unblock(port)
  }

  /** Drops what waits for the port, by default because nothing is at its other end. */
  drain(port: number, reason: number = PEER_GONE): void {
    const queue = this.#queueOf[port]
    if (queue === null) return
    this.#ledger.drop(port, reason, this.#impairments.discard(port))
    for (let count = queue.contiguous(); count > 0; count = queue.contiguous()) {
      this.#ledger.dropFrames(port, reason, queue.offset, queue.length, queue.head, count)
      queue.shift(count)
    }
    this.#ledger.gauge(port, queue.count)
    this.#unblock(port)
  }

  /** Before a port is restored: counts what waited for it when the data plane before this one ended. */
  countLost(port: number): void {
    this.#ledger.countLost(port)
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

  /** Returns how many frames are done with, sent or dropped with a reason; fewer than `count` means: wait. */
  #send(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const endpoint = this.#endpointOf[port] as Endpoint
    let done = 0
    for (let faults = 0; done < count && faults < MAX_FAULTS; ) {
      const asked = Math.min(count - done, this.#maxTransmit[port])
      const taken = endpoint.transmit(port, offsets, lengths, first + done, asked)
      if (taken > 0) {
        this.#lastProgress[port] = this.#now
        this.#ledger.sent(port, offsets, lengths, first + done, taken)
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
          this.#ledger.dropFrames(port, ERROR, offsets, lengths, first + done, 1)
          done++
          break
        case Fault.tooLong:
          this.#ledger.drop(port, OVERSIZE, 1)
          done++
          break
        case Fault.failed:
          this.#ledger.dropFrames(port, ERROR, offsets, lengths, first + done, count - done)
          return count
        case Fault.gone:
          this.#gone = true
          this.#ledger.dropFrames(port, PEER_GONE, offsets, lengths, first + done, count - done)
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

  #enqueue(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): void {
    const queue = this.#queueOf[port] as EgressQueue
    let queued = 0
    while (queued < count && queue.push(offsets[first + queued], lengths[first + queued])) queued++
    if (queued < count) this.#ledger.dropFrames(port, QUEUE_FULL, offsets, lengths, first + queued, count - queued)
    this.#ledger.gauge(port, queue.count)
  }

  /**
   * Of the first frame a part was sent already. Without it the peer would read noise, so it is kept or the port ends.
   */
  #enqueueUnfinished(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): void {
    const queue = this.#queueOf[port] as EgressQueue
    if (queue.pushUnfinished(offsets[first], lengths[first])) {
      this.#enqueue(port, offsets, lengths, first + 1, count - 1)
    } else {
      this.#ledger.drop(port, ERROR, count)
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
}
