/**
 * The switch core: one frame and the time in, one decision out. It keeps no frame, calls nobody but its listener, knows
 * no clock and no device. README.md in this folder tells the rules; each is one step of `forward`.
 */
import {
  DESTINATION,
  highOf,
  isBroadcast,
  isGroup,
  isReserved,
  isStation,
  isZero,
  lowOf,
  MIN_FRAME_SIZE,
  macHigh,
  macLow,
  SOURCE,
} from '../wire/ethernet.js'
import { type ReceiveDropReason, receiveDropReasons } from './drop-reason.js'
import { Fdb, Learned } from './fdb.js'
import { FlapDetector } from './flap-detector.js'
import { PolicyTable, PortClass, type PortPolicy } from './policy.js'

export type { PortPolicy } from './policy.js'

export interface SwitchLimits {
  /** Bytes, Ethernet header and tag included, FCS not. */
  maxFrameSize: number
  /** Milliseconds, 0 to 10^9. */
  ageingMs: number
  /** FDB entries a port may hold unless its policy says otherwise. */
  maxEntriesPerPort: number
}

export interface SwitchOptions extends SwitchLimits {
  /** Port indices are below this. */
  maxPorts: number
  /** FDB entries of the whole switch; fixed, since the memory is. */
  maxEntries: number
  /** 32 random bits that guests do not know. */
  hashSeed: number
  /** Shared memory of `Fdb.bytesFor(maxEntries)` bytes; entries that an earlier switch left there stay. */
  memory?: SharedArrayBuffer
  listener?: SwitchListener
}

/**
 * Hears of rare things, at most one call of each kind for a learning. `keyHigh` is VID << 16 | octets 0-1 of the
 * address, `keyLow` octets 2-5, signed. Called in the middle of `forward`: note it and return; do not call the switch.
 */
export interface SwitchListener {
  learned?(keyHigh: number, keyLow: number, port: number): void
  /** `goesOn`: one more move of an address that was said to flap in the same 10 s. */
  moved?(keyHigh: number, keyLow: number, from: number, to: number, goesOn: boolean): void
  /** Follows `moved` when the address moved more than 5 times within 10 s; once in such a window. */
  flapping?(keyHigh: number, keyLow: number, from: number, to: number): void
  /** A station was not learned because the port, or with -1 the whole table, is full; once in 10 s for each. */
  limitReached?(port: number): void
}

/** What `forward` returns. From 0 up: the egress port's index. */
export const Verdict = {
  floodBroadcast: -1,
  floodMulticast: -2,
  floodUnknown: -3,
  /** From here down: dropped because of `receiveDropReasons[-16 - verdict]`. */
  dropBase: -16,
} as const

// Private copies, which V8 folds; see fdb-memory.ts.
const HEADER = MIN_FRAME_SIZE
const TO = DESTINATION
const FROM = SOURCE
const REFRESHED = Learned.refreshed
const FLOOD_BROADCAST = Verdict.floodBroadcast
const FLOOD_MULTICAST = Verdict.floodMulticast
const FLOOD_UNKNOWN = Verdict.floodUnknown
const ABSENT = PortClass.absent
const ISOLATED_CLASS = PortClass.isolated

const drop = (reason: ReceiveDropReason): number => Verdict.dropBase - receiveDropReasons.indexOf(reason)
const RUNT = drop('runt')
const OVERSIZE = drop('oversize')
const INVALID_SOURCE = drop('invalid-source')
const RESERVED_DESTINATION = drop('reserved-destination')
const SAME_PORT = drop('same-port')
const ISOLATED = drop('isolated')
const PORT_DOWN = drop('port-down')

/** Both arbitrary: a station that roams stays below, a loop passes within milliseconds. */
const FLAP_MOVES = 5
const FLAP_WINDOW_MS = 10_000
/** Arbitrary; keeps an address flood from becoming an event flood. */
const LIMIT_WINDOW_MS = 10_000

export class Switch {
  /** By port: the longest frame it may get, the smaller of its own and the switch's; 0 where there is no port. */
  readonly maxFrameSize: Int32Array
  readonly fdb: Fdb
  readonly #policies: PolicyTable
  readonly #portClass: Uint8Array
  readonly #maxEntries: Int32Array
  readonly #listener: SwitchListener
  readonly #flaps = new FlapDetector(FLAP_MOVES, FLAP_WINDOW_MS)
  /** By port, the whole switch last: when `limitReached` was last called, and whether it ever was. */
  readonly #limitReportedAt: Int32Array
  readonly #limitReported: Uint8Array

  constructor(options: SwitchOptions) {
    const { maxPorts, maxFrameSize, maxEntriesPerPort } = options
    checkLimits(options)
    this.fdb = new Fdb({ ...options, seed: options.hashSeed })
    this.#policies = new PolicyTable(maxPorts, maxFrameSize, maxEntriesPerPort)
    this.maxFrameSize = this.#policies.maxFrameSize
    this.#portClass = this.#policies.portClass
    this.#maxEntries = this.#policies.maxEntries
    this.#listener = options.listener ?? {}
    this.#limitReportedAt = new Int32Array(maxPorts + 1)
    this.#limitReported = new Uint8Array(maxPorts + 1)
  }

  /** Counts since this switch was made, indexed by `FdbStat`. */
  get stats(): Float64Array {
    return this.fdb.stats
  }

  /** FDB entries by port. */
  get fdbCounts(): Int32Array {
    return this.fdb.portEntries
  }

  /**
   * Takes a port into the switch. It begins with the FDB entries that an earlier switch left for this index, else with
   * none.
   * @throws RangeError for an index or policy out of range, Error for a port that is there already
   */
  addPort(index: number, policy: PortPolicy): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.#portClass.length) {
      throw new RangeError(`a port index is 0..${this.#portClass.length - 1}, not ${index}`)
    }
    if (this.#policies.has(index)) throw new Error(`port ${index} is there already`)
    checkPolicy(policy)
    this.#policies.set(index, policy)
    this.#limitReported[index] = 0
  }

  /** Takes a port out with all its FDB entries, static ones too. Cost: see `Fdb.flushPort`. */
  removePort(index: number): void {
    this.#mustHave(index)
    this.#policies.set(index, undefined)
    this.fdb.flushPort(index, true)
  }

  setPolicy(index: number, policy: PortPolicy): void {
    this.#mustHave(index)
    checkPolicy(policy)
    this.#policies.set(index, policy)
  }

  /**
   * Takes effect with the next frame. Entries beyond a lowered limit stay until they age; entries that expired under a
   * shorter ageing time are valid again under a longer one, unless they were swept.
   */
  setLimits(limits: SwitchLimits): void {
    checkLimits(limits)
    this.fdb.ageingMs = limits.ageingMs
    this.#policies.setLimits(limits.maxFrameSize, limits.maxEntriesPerPort)
  }

  /**
   * Decides about one frame: the header is `bytes[offset..offset + 14)`, the frame `length` bytes. Learns its source.
   * Allocates nothing and throws nothing, whatever the frame is.
   * @param ingress index of a port; one that was not added, or was removed, is down: its frames are dropped
   * @param now milliseconds on a steady clock; taken modulo 2^32
   * @returns an egress port or one of `Verdict`
   */
  forward(bytes: Uint8Array, offset: number, length: number, ingress: number, now: number): number {
    if (length < HEADER) return RUNT
    if (length > this.maxFrameSize[ingress]) return this.#portClass[ingress] === ABSENT ? PORT_DOWN : OVERSIZE

    const sourceHigh = macHigh(bytes, offset + FROM)
    const sourceLow = macLow(bytes, offset + FROM)
    if (isGroup(sourceHigh) || isZero(sourceHigh, sourceLow)) return INVALID_SOURCE
    const time = now | 0
    const learned = this.fdb.learn(sourceHigh, sourceLow, ingress, this.#maxEntries[ingress], time)
    if (learned !== REFRESHED) this.#tell(learned, sourceHigh, sourceLow, ingress, time)

    const high = macHigh(bytes, offset + TO)
    const low = macLow(bytes, offset + TO)
    if (isGroup(high)) {
      if (isReserved(high, low)) return RESERVED_DESTINATION
      return isBroadcast(high, low) ? FLOOD_BROADCAST : FLOOD_MULTICAST
    }
    const egress = this.fdb.lookup(high, low, time)
    if (egress < 0) return FLOOD_UNKNOWN
    if (egress === ingress) return SAME_PORT
    const egressClass = this.#portClass[egress]
    if (egressClass === ABSENT) return FLOOD_UNKNOWN
    if (egressClass === ISOLATED_CLASS && this.#portClass[ingress] === ISOLATED_CLASS) return ISOLATED
    return egress
  }

  /**
   * Ports that a flood from `ingress` goes to, which may include `ingress` itself: skip it. A ready array, replaced
   * when a port comes, goes or changes its isolation, so do not keep it; do not write to it.
   */
  floodTargets(ingress: number): Int32Array {
    return this.#policies.floodTargets[this.#portClass[ingress]]
  }

  /** Sweeps the next `budget` slots of the FDB for expired entries; see `Fdb.age`. */
  age(now: number, budget: number): void {
    this.fdb.age(now, budget)
  }

  /** Forgets every dynamic entry; returns how many. */
  flush(): number {
    return this.fdb.flush()
  }

  /** Forgets the port's dynamic entries; returns how many. */
  flushPort(index: number): number {
    this.#mustHave(index)
    return this.fdb.flushPort(index, false)
  }

  /**
   * Forgets entries, static ones too, of ports that are not in the switch; returns how many. A switch on the memory of
   * an earlier one needs it once, after the ports that live on were added: an index may come to stand for somebody
   * else.
   */
  flushAbsent(): number {
    let removed = 0
    for (let port = 0; port < this.#portClass.length; port++) {
      if (this.#portClass[port] === PortClass.absent) removed += this.fdb.flushPort(port, true)
    }
    return removed
  }

  /**
   * Binds an address, a 48-bit integer, to a port, wherever it was before. Its frames are learned on no other port from
   * now on.
   * @returns false when the FDB is full of static entries
   * @throws RangeError when no station can have the address, Error when there is no such port
   */
  addStatic(mac: number, port: number, now: number): boolean {
    this.#mustHave(port)
    checkStation(mac)
    return this.fdb.addStatic(highOf(mac), lowOf(mac), port, now)
  }

  /**
   * Keeps an address for a port that is not in the switch: its frames are learned on no port, and frames to it are
   * unknown unicast. `addStatic` makes it the port's once that is there; `removePort` forgets it.
   * @returns false when the FDB is full of static entries
   * @throws RangeError when no station can have the address
   */
  reserveStatic(mac: number, port: number, now: number): boolean {
    checkStation(mac)
    return this.fdb.reserveStatic(highOf(mac), lowOf(mac), port, now)
  }

  /** Forgets a static entry; false when the address has none. */
  removeStatic(mac: number): boolean {
    return this.fdb.isStatic(highOf(mac), lowOf(mac)) && this.fdb.remove(highOf(mac), lowOf(mac))
  }

  /** Forgets a static entry of this port, also a reserved one; false when the address has none there. */
  releaseStatic(mac: number, port: number): boolean {
    return this.fdb.staticOwner(highOf(mac), lowOf(mac)) === port && this.fdb.remove(highOf(mac), lowOf(mac))
  }

  /** Forgets an entry, dynamic or static; false when there was none. */
  forget(mac: number): boolean {
    return this.fdb.remove(highOf(mac), lowOf(mac))
  }

  #tell(learned: number, keyHigh: number, keyLow: number, port: number, time: number): void {
    if (learned === Learned.added) {
      this.#listener.learned?.(keyHigh, keyLow, port)
    } else if (learned === Learned.moved) {
      const from = this.fdb.movedFrom
      const begins = this.#flaps.moved(keyHigh, keyLow, time)
      this.#listener.moved?.(keyHigh, keyLow, from, port, this.#flaps.goesOn)
      if (begins) this.#listener.flapping?.(keyHigh, keyLow, from, port)
    } else if (learned === Learned.portFull) {
      if (this.#limitIsNews(port, time)) this.#listener.limitReached?.(port)
    } else if (learned === Learned.tableFull) {
      if (this.#limitIsNews(this.#portClass.length, time)) this.#listener.limitReached?.(-1)
    }
  }

  #limitIsNews(row: number, time: number): boolean {
    if (this.#limitReported[row] === 1 && ((time - this.#limitReportedAt[row]) | 0) < LIMIT_WINDOW_MS) return false
    this.#limitReported[row] = 1
    this.#limitReportedAt[row] = time
    return true
  }

  #mustHave(index: number): void {
    if (!this.#policies.has(index)) throw new Error(`no port ${index}`)
  }
}

function checkStation(mac: number): void {
  const isAddress = mac >= 0 && mac < 2 ** 48 && isStation(highOf(mac), lowOf(mac))
  if (!isAddress) throw new RangeError(`not a station's address: ${mac}`)
}

function checkPolicy(policy: PortPolicy): void {
  check('maxFrameSize', policy.maxFrameSize, 0)
  check('maxEntries', policy.maxEntries, 0)
}

function checkLimits(limits: SwitchLimits): void {
  check('maxFrameSize', limits.maxFrameSize, MIN_FRAME_SIZE)
  check('maxEntriesPerPort', limits.maxEntriesPerPort, 1)
}

function check(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) throw new RangeError(`${name} must be at least ${least}, not ${value}`)
}
