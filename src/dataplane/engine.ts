/**
 * The loop that moves frames.
 *
 * One turn: wait until something is ready; for each ready descriptor take one batch, switch it, send it; see to what is
 * due. One batch for each descriptor and turn is the fairness: a port that floods gets BATCH frames, then every other
 * ready port gets its turn before it is asked again. Nothing in a turn blocks, and nothing is allocated for a frame.
 *
 * The wait is bounded (MAX_WAIT_MS), because process exit and the replacement of this thread wait for it; a wake-up
 * descriptor ends it when a command comes. Errors of peers are answers and are handled where they occur; an exception
 * of an endpoint stays in its guard, and the endpoint is detached at the end of the turn; an exception that leaves a
 * turn is a fault of the loop itself, ends this thread, and another takes over its descriptors.
 */
import type { Poller } from '../os/poller.js'
import { READABLE, WRITABLE } from '../os/poller.js'
import { settle, type Waker } from '../os/waker.js'
import type { Switch } from '../switch/switch.js'
import { Verdict } from '../switch/switch.js'
import { HEADER_SIZE } from '../wire/ethernet.js'
import { BackPressure } from './back-pressure.js'
import type { Captures } from './captures.js'
import type { ContainedEndpoints } from './contained-endpoints.js'
import type { Descriptor, DescriptorTable } from './descriptor-table.js'
import { type Egress, type Frames, RETRY_MS } from './egress.js'
import type { Endpoint } from './endpoint.js'
import type { FrameList } from './frame-list.js'
import type { FramePool } from './frame-pool.js'
import type { Mirrors } from './mirrors.js'
import { BATCH, type ReceiveBatch } from './receive-batch.js'
import { batchBuckets, PortField, type SharedCounters, SwitchField } from './shared-memory.js'
import type { Tracer } from './tracer.js'

/** Longest sleep, and how often slow work (ageing, probing, gauges) is done. */
const MAX_WAIT_MS = 1000
/** How soon gauges are brought up to date after traffic. */
const SETTLE_MS = 100
/** Commands are looked for even when frames never stop coming. */
const TURNS_BETWEEN_COMMANDS = 64

export interface EngineParts {
  poller: Poller
  wakeFd: Waker['readFd']
  core: Switch
  pool: FramePool
  batch: ReceiveBatch
  list: FrameList
  egress: Egress
  tracer: Tracer
  captures: Captures
  mirrors: Mirrors
  descriptors: DescriptorTable
  counters: SharedCounters
  maxPorts: number
  /** Milliseconds, on the clock all threads share. */
  clock: () => number
  /** Called when the wake-up descriptor rang, and now and then. */
  commands: () => void
  /**
   * Called once a second at least, and soon after traffic. Returns how many milliseconds later it wants to be called
   * again.
   */
  slowWork: (now: number) => number
  endpoints: Pick<ContainedEndpoints, 'hasFailed' | 'detachFailed'>
}

export class Engine {
  running = true
  readonly backPressure: BackPressure
  readonly #parts: EngineParts
  readonly #cells: Float64Array
  readonly #rowOf: Int32Array
  readonly #bucketOf: Int32Array
  #now: number
  /** When the turn before this one ended. */
  #ended: number
  /** The same, as the integer modulo 2^32 that the core wants: a small integer costs no allocation. */
  #time = 0
  #slowAt: number
  /** Their senders wait, and what was read from them lies in a read buffer. */
  readonly #held: Descriptor[] = []
  /** To be looked at in the next turn, ready or not; and the list of the turn before, to be used again. */
  #again: Descriptor[] = []
  #lookedAgain: Descriptor[] = []
  #turnsToCommands = TURNS_BETWEEN_COMMANDS

  constructor(parts: EngineParts) {
    this.#parts = parts
    this.#cells = parts.counters.cells
    this.#rowOf = Int32Array.from({ length: parts.maxPorts }, (_, index) => parts.counters.portRow(index))
    this.#bucketOf = Int32Array.from({ length: BATCH + 2 }, (_, count) => {
      const bucket = batchBuckets.findIndex(bound => count <= bound)
      return SwitchField.batchBucket + (bucket < 0 ? batchBuckets.length : bucket)
    })
    this.backPressure = new BackPressure(parts.maxPorts, parts.egress, parts.descriptors, parts.counters)
    this.#now = parts.clock()
    this.#ended = this.#now
    this.#slowAt = this.#now + MAX_WAIT_MS
  }

  run(): void {
    while (this.running) this.turn()
  }

  /** Asks the endpoint of this descriptor for frames in the next turn, within a millisecond. */
  lookAgain(descriptor: Descriptor): void {
    if (descriptor.again) return
    descriptor.again = true
    this.#again.push(descriptor)
  }

  turn(): void {
    const { captures, poller, descriptors, egress, clock, endpoints } = this.#parts
    const ready = poller.wait(this.#timeout())
    const began = clock()
    if (captures.active) captures.grant(began - this.#ended, this.#ended - this.#now)
    this.#now = began
    this.#time = began | 0
    if (this.#again.length > 0) this.#lookAgain()
    for (let i = 0; i < ready; i++) {
      const descriptor = descriptors.byToken(poller.tokens[i])
      if (descriptor === null) continue
      if ((poller.events[i] & WRITABLE) !== 0) this.#writable(descriptor)
      if ((poller.events[i] & READABLE) !== 0) this.#receive(descriptor)
      // What was said to the next data plane must stay true: not another byte is read or written.
      if (!this.running) return
    }
    for (let i = egress.retry.length - 1; i >= 0; i--) egress.resume(egress.retry[i], began)
    egress.releaseDue(began)
    this.backPressure.review(began)
    if (this.#held.length > 0) this.#resumeHeld()
    if (began >= this.#slowAt) this.#slowWork(began)
    if (--this.#turnsToCommands === 0) this.#commands()
    if (captures.active) captures.flush()
    if (endpoints.hasFailed) endpoints.detachFailed()
    this.#cells[SwitchField.turns]++
    const ended = clock()
    this.#ended = ended
    this.#cells[SwitchField.busySeconds] += (ended - began) / 1000
    this.#cells[SwitchField.heartbeat] = ended
  }

  /** Milliseconds, rounded up, until something is due; capped by what must be bounded. */
  #timeout(): number {
    if (this.#parts.egress.retry.length > 0 || this.backPressure.active || this.#again.length > 0) return RETRY_MS
    return Math.max(0, Math.ceil(Math.min(this.#slowAt, this.#parts.egress.nextReleaseAt) - this.#now))
  }

  #lookAgain(): void {
    const due = this.#again
    this.#again = this.#lookedAgain
    for (let i = 0; i < due.length; i++) {
      due[i].again = false
      this.#receive(due[i])
    }
    due.length = 0
    this.#lookedAgain = due
  }

  #receive(descriptor: Descriptor): void {
    const { batch, egress, tracer, wakeFd } = this.#parts
    if (descriptor.fd === wakeFd) {
      settle(wakeFd)
      this.#commands()
      return
    }
    if (descriptor.paused || !descriptor.reading) return
    if (descriptor.endpoint.receiveInPlace !== undefined) {
      this.#receiveInPlace(descriptor, true)
      return
    }
    const count = descriptor.endpoint.receive(descriptor.fd, batch)
    if (count <= 0) return
    this.#countBatch(count)
    if (tracer.active) tracer.received(batch, count)
    for (let i = 0; i < count; i++) if (batch.port[i] >= 0) this.#switch(batch, i, 1, batch.length[i], batch.port[i])
    egress.flush(this.#now)
    this.backPressure.afterBatch(descriptor, batch.port[0], this.#now)
    batch.recycle(count)
  }

  /**
   * One read, list by list. When its only destination is full before all of it is switched, the rest stays in the read
   * buffer and the sender waits, unless `mayHold` forbids it or there is no other buffer to read into.
   */
  #receiveInPlace(descriptor: Descriptor, mayHold: boolean): void {
    const { list, egress, tracer, pool } = this.#parts
    const { endpoint, fd } = descriptor
    do {
      const count = (endpoint as Required<Endpoint>).receiveInPlace(fd, list)
      if (count === 0) return
      this.#countBatch(count)
      if (tracer.active) tracer.receivedInPlace(list, count)
      this.#switchList(list, count)
      egress.flush(this.#now)
      this.backPressure.afterBatch(descriptor, list.port, this.#now)
      if (list.more && descriptor.paused && mayHold && pool.sparesBuffer) {
        this.#held.push(descriptor)
        return
      }
    } while (list.more && descriptor.reading)
  }

  /** Goes on with those who were held back and are not any more; the kernel need not have anything new for them. */
  #resumeHeld(): void {
    for (let i = this.#held.length - 1; i >= 0; i--) {
      const descriptor = this.#held[i]
      if (descriptor.paused && descriptor.reading) continue
      this.#held.splice(i, 1)
      if (descriptor.reading) this.#receiveInPlace(descriptor, true)
    }
  }

  /** Switches what is still held, whether its destination is full or not: nobody will come back for it. */
  finishHeld(): void {
    for (const descriptor of this.#held.splice(0)) if (descriptor.reading) this.#receiveInPlace(descriptor, false)
  }

  #countBatch(count: number): void {
    this.#cells[SwitchField.batchSum] += count
    this.#cells[SwitchField.batchCount]++
    this.#cells[this.#bucketOf[Math.min(count, BATCH + 1)]]++
    if (this.#slowAt > this.#now + SETTLE_MS) this.#slowAt = this.#now + SETTLE_MS
  }

  /**
   * Frames of one port in a row from and to the same addresses have the same verdict, at the same time: one for the
   * run.
   */
  #switchList(list: FrameList, count: number): void {
    const { view } = this.#parts.pool
    const { offset, length, port } = list
    const longest = this.#parts.core.maxFrameSize[port]
    for (let first = 0; first < count; ) {
      let bytes = length[first]
      let next = first + 1
      if (bytes >= HEADER_SIZE && bytes <= longest) {
        const at = offset[first]
        const a = view.getInt32(at, true)
        const b = view.getInt32(at + 4, true)
        const c = view.getInt32(at + 8, true)
        for (; next < count; next++) {
          const size = length[next]
          const other = offset[next]
          if (
            size < HEADER_SIZE ||
            size > longest ||
            view.getInt32(other, true) !== a ||
            view.getInt32(other + 4, true) !== b ||
            view.getInt32(other + 8, true) !== c
          )
            break
          bytes += size
        }
      }
      this.#switch(list, first, next - first, bytes, port)
      first = next
    }
  }

  /** Frames `first` to `first + count - 1`, which are alike. */
  #switch(frames: Frames, first: number, count: number, bytes: number, ingress: number): void {
    const { captures, core, egress, mirrors, pool } = this.#parts
    const row = this.#rowOf[ingress]
    this.#cells[row + PortField.receiveFrames] += count
    this.#cells[row + PortField.receiveBytes] += bytes
    const verdict = core.forward(pool.bytes, frames.offset[first], frames.length[first], ingress, this.#time)
    if (captures.active) {
      captures.received(ingress, frames.offset, frames.length, first, count, Math.max(-1, Verdict.dropBase - verdict))
    }
    if (mirrors.active) mirrors.begin(egress, frames, first, count, ingress)
    if (verdict >= 0) {
      if (mirrors.active) mirrors.copy(egress, frames, first, count, verdict)
      egress.stage(verdict, frames, first, count, core.maxFrameSize)
      this.backPressure.note(verdict)
    } else if (verdict <= Verdict.dropBase) {
      this.#cells[row + PortField.receiveDrop + Verdict.dropBase - verdict] += count
    } else {
      this.#cells[SwitchField.flood + Verdict.floodBroadcast - verdict] += count
      this.backPressure.noteFlood()
      const targets = core.floodTargets(ingress)
      for (let t = 0; t < targets.length; t++) {
        if (targets[t] === ingress) continue
        if (mirrors.active) mirrors.copy(egress, frames, first, count, targets[t])
        egress.stage(targets[t], frames, first, count, core.maxFrameSize)
      }
    }
  }

  #writable(descriptor: Descriptor): void {
    const { waiting, endpoint, fd } = descriptor
    if (descriptor.connecting) {
      endpoint.connected?.(fd)
      this.#parts.descriptors.connected(descriptor)
    }
    // Backwards: a port whose queue empties takes itself off the list.
    for (let i = waiting.length - 1; i >= 0; i--) this.#parts.egress.resume(waiting[i], this.#now)
  }

  #slowWork(now: number): void {
    this.#slowAt = now + Math.min(MAX_WAIT_MS, this.#parts.slowWork(now))
  }

  #commands(): void {
    this.#turnsToCommands = TURNS_BETWEEN_COMMANDS
    this.#parts.commands()
  }
}
