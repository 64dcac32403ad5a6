/**
 * Back-pressure: not reading what could only be dropped.
 *
 * A frame that was received costs its work whether it is delivered or not, and between two VMs wired to each other
 * nothing is lost at all, because the kernel makes the sender wait. A switch can do the same: while it does not read a
 * sender's socket, that fills up, and the sender waits. But the socket carries whatever else the sender has to say, and
 * on a shared path what all the others have to say; so a port that does not read must never make us stop reading.
 * Hence:
 *
 * - A descriptor is paused only when everything it brought lately (SOLE_MS) went to one port, and that port's queue has
 *   reached HIGH frames. Whoever talks to two ports at once is not paused: what the full one does not take is queued up
 *   to its limit, then dropped.
 * - It is read again as soon as the queue is down to LOW frames, and after PATIENCE_MS at the latest. A port that takes
 *   longer than that for a hundred frames is dead, slow, or was not given the CPU; no sender is paused for it, for
 *   a while, and what it does not take is queued, then dropped. The while doubles each time, from DISTRUST_MS to
 *   MAX_DISTRUST_MS, and starts anew once the port was in time. So a stalled port costs its senders one short pause in
 *   two seconds, and a VM that lost the CPU for a moment is soon trusted again.
 */
import type { Descriptor, DescriptorTable } from './descriptor-table.js'
import type { Egress } from './egress.js'
import { PortField, type SharedCounters } from './shared-memory.js'

export const HIGH = 128
export const LOW = 32
export const SOLE_MS = 5
export const PATIENCE_MS = 50
export const DISTRUST_MS = 50
export const MAX_DISTRUST_MS = 2000

const NONE = -1
const SEVERAL = -2

interface Pause {
  descriptor: Descriptor
  port: number
  since: number
}

export class BackPressure {
  readonly #egress: Egress
  readonly #descriptors: DescriptorTable
  readonly #cells: Float64Array
  readonly #counters: SharedCounters
  readonly #pauses: Pause[] = []
  /** By port: until when no sender is paused on its account. */
  readonly #distrustedUntil: Float64Array
  /** By port: how long the next time. */
  readonly #distrustMs: Float64Array
  /** The one port this batch went to, or NONE, or SEVERAL. */
  #sole = NONE

  constructor(maxPorts: number, egress: Egress, descriptors: DescriptorTable, counters: SharedCounters) {
    this.#egress = egress
    this.#descriptors = descriptors
    this.#counters = counters
    this.#cells = counters.cells
    this.#distrustedUntil = new Float64Array(maxPorts)
    this.#distrustMs = new Float64Array(maxPorts).fill(DISTRUST_MS)
  }

  /** True while some descriptor is paused, and has to be looked after. */
  get active(): boolean {
    return this.#pauses.length > 0
  }

  /** A frame of this batch goes to `port`. */
  note(port: number): void {
    if (this.#sole !== port) this.#sole = this.#sole === NONE ? port : SEVERAL
  }

  /** A frame of this batch goes to many ports. */
  noteFlood(): void {
    this.#sole = SEVERAL
  }

  /** After a batch from this descriptor was sent or queued. */
  afterBatch(descriptor: Descriptor, ingress: number, now: number): void {
    const sole = this.#sole
    this.#sole = NONE
    if (sole === NONE) return
    if (sole !== descriptor.solePort) {
      descriptor.solePort = sole
      descriptor.soleSince = now
    }
    if (sole === SEVERAL || this.#egress.waiting(sole) < HIGH) return
    if (now - descriptor.soleSince < SOLE_MS || now < this.#distrustedUntil[sole]) return
    this.#descriptors.pause(descriptor)
    this.#pauses.push({ descriptor, port: sole, since: now })
    if (ingress >= 0) this.#cells[this.#counters.portRow(ingress) + PortField.pauses]++
  }

  /** Once a turn: who may be read again? */
  review(now: number): void {
    for (let i = this.#pauses.length - 1; i >= 0; i--) {
      const { descriptor, port, since } = this.#pauses[i]
      const late = now - since >= PATIENCE_MS
      if (!late && this.#egress.waiting(port) > LOW) continue
      if (late) this.#distrust(port, now)
      else this.#distrustMs[port] = DISTRUST_MS
      this.#pauses.splice(i, 1)
      this.#descriptors.unpause(descriptor)
    }
  }

  #distrust(port: number, now: number): void {
    // However many senders waited for it, it failed once.
    if (now < this.#distrustedUntil[port]) return
    this.#distrustedUntil[port] = now + this.#distrustMs[port]
    this.#distrustMs[port] = Math.min(MAX_DISTRUST_MS, this.#distrustMs[port] * 2)
  }
}
