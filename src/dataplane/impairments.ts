/**
 * The impairments of all ports: which port has one, and when the next frame leaves one. See impairment.ts for what one
 * does.
 */
import { type EgressLedger, TransmitDrop } from './egress-ledger.js'
import type { FramePool } from './frame-pool.js'
import { Impairment, type ImpairmentSettings } from './impairment.js'

/** Sends or queues frames of a port; may take the port down, or remove it. */
export type Deliver = (port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number) => void

export class Impairments {
  readonly #pool: FramePool
  readonly #ledger: EgressLedger
  readonly #deliver: Deliver
  readonly #of: (Impairment | null)[]
  /** Ports that have one. */
  readonly #ports: number[] = []

  constructor(maxPorts: number, pool: FramePool, ledger: EgressLedger, deliver: Deliver) {
    this.#pool = pool
    this.#ledger = ledger
    this.#deliver = deliver
    this.#of = new Array(maxPorts).fill(null)
  }

  impairs(port: number): boolean {
    return this.#of[port] !== null
  }

  /** The line begins anew when the settings differ from before; what the old one held is delivered at once. */
  set(port: number, portName: string, settings: ImpairmentSettings | null): void {
    const before = this.#of[port]
    if (JSON.stringify(before?.settings ?? null) === JSON.stringify(settings)) return
    if (before === null) {
      this.#ports.push(port)
      this.#of[port] = new Impairment(settings as ImpairmentSettings, portName, this.#pool)
      return
    }
    // What it holds may meet a peer that is gone, and then the port, with its impairment, is removed in the middle of
    // this.
    this.#release(port, before, Number.POSITIVE_INFINITY)
    if (this.#of[port] !== before) return
    if (settings === null) this.remove(port)
    else this.#of[port] = new Impairment(settings, portName, this.#pool)
  }

  /** Ends the port's impairment. What it held is let go; `discard` says how much that is. */
  remove(port: number): void {
    const at = this.#ports.indexOf(port)
    if (at < 0) return
    this.discard(port)
    this.#ports.splice(at, 1)
    this.#of[port] = null
  }

  /** When the next frame leaves a line; Infinity when none is on one. */
  get nextReleaseAt(): number {
    let at = Number.POSITIVE_INFINITY
    for (let i = 0; i < this.#ports.length; i++) {
      at = Math.min(at, (this.#of[this.#ports[i]] as Impairment).nextDueAt)
    }
    return at
  }

  /** Delivers what is due. `now` in milliseconds. */
  releaseDue(now: number): void {
    // Backwards: a port that is found gone may be removed.
    for (let i = this.#ports.length - 1; i >= 0; i--) {
      const port = this.#ports[i]
      const impairment = this.#of[port] as Impairment
      if (impairment.nextDueAt <= now) this.#release(port, impairment, now)
    }
  }

  /** Takes frames for a port that has an impairment, and delivers what is due at once. */
  take(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number, now: number): void {
    const impairment = this.#of[port] as Impairment
    impairment.take(offsets, lengths, first, count, now)
    if (impairment.lost > 0) this.#ledger.drop(port, TransmitDrop.IMPAIRED, impairment.lost)
    if (impairment.refused > 0) this.#ledger.drop(port, TransmitDrop.QUEUE_FULL, impairment.refused)
    this.#release(port, impairment, now)
  }

  /** Lets go of the frames that the port's line holds. Returns how many there were. */
  discard(port: number): number {
    const impairment = this.#of[port]
    if (impairment === null) return 0
    this.#ledger.gaugeLine(port, 0)
    return impairment.discard()
  }

  #release(port: number, impairment: Impairment, now: number): void {
    const { offsets, lengths } = impairment
    for (let count = impairment.release(now); count > 0; count = impairment.release(now)) {
      this.#deliver(port, offsets, lengths, 0, count)
      for (let i = 0; i < count; i++) this.#pool.release(offsets[i])
    }
    if (this.#of[port] === impairment) this.#ledger.gaugeLine(port, impairment.held)
  }
}
