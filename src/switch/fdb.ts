/**
 * The filtering database: which port a station is behind.
 *
 * A hash table with linear probing, at most half full, in shared memory (`fdb-table.ts`). Nothing here allocates after
 * the constructor; a learning or a look-up costs the same at ten addresses and at a hundred thousand, cache misses
 * apart.
 *
 * Ageing. An entry is valid while `now - lastSeen <= ageingMs`. From then on look-ups and learning treat it as absent,
 * whether or not it is still in its slot; `age` sweeps the slots, some at a time, and takes such entries out.
 *
 * Limits. A station that is new to a full table or a full port is not learned: its frames are still forwarded, frames
 * to it are flooded, nobody else loses an entry. A station that *moves* to a full port is refused too, and its entry
 * stays where it is, unrefreshed, until it ages. Letting the full port have it would make the limit worthless, and
 * forgetting the entry would let one guest turn all others' traffic into floods; the price is that a station which
 * really moved there is found after ageing. Cisco port security at its maximum behaves alike; Linux's fdb_max_learned
 * ignores moves, but it has no limit per port.
 *
 * An expired entry still counts against both limits until it is met or swept. Met: a new station whose probe passes an
 * expired entry takes that slot, and the old entry no longer counts. Swept: at latest after two full rounds of `age`
 * (one, unless entries were deleted meanwhile, which can shift an entry behind the sweep).
 *
 * Static entries never age and never move. They count in their port's number and in the table's; they may exceed the
 * port's limit, since the operator asked for them, never the table's. In a full table a learned address makes place for
 * one: guests must not keep an operator's address out by filling the table. While its port does not forward, a static
 * address stays in the table as *reserved*: no port can learn it, and a look-up says that it is unknown.
 *
 * Concurrency and death. The data plane's thread is the only writer, others look through `FdbReader`; `fdb-table.ts`
 * says how a reader gets whole entries. A table attached to the memory of one whose thread died takes its entries over.
 */
import {
  bytesFor,
  Header,
  isExpired,
  isHidden,
  isStatic,
  keyLowAt,
  lastSeenAt,
  MAGIC,
  placeAt,
  portOf,
  reservedPlace,
  slotAt,
  staticPlace,
  tagOf,
} from './fdb-memory.js'
import { FdbTable } from './fdb-table.js'
import { checkFdbOptions, type FdbOptions, FdbStat, Learned } from './fdb-terms.js'

export { type FdbOptions, FdbStat, Learned } from './fdb-terms.js'

/** The longest ageing time of 802.1Q, 10^6 s. Signed 32-bit milliseconds leave the sweep two weeks more. */
const MAX_AGEING_MS = 1e9
const NONE = -1
/** A private copy, which V8 folds; see `fdb-memory.ts`. */
const REFRESHED = Learned.refreshed

export class Fdb {
  /** Entries now, dynamic and static, expired ones that were not swept yet included. */
  entries = 0
  /** The same, by port. */
  readonly portEntries: Int32Array
  readonly stats = new Float64Array(4)
  readonly memory: SharedArrayBuffer
  readonly maxEntries: number
  readonly capacity: number
  /** Port of the entry before `learn` last returned `moved`. */
  movedFrom = NONE
  readonly #table: FdbTable
  readonly #cells: Int32Array
  readonly #portStatics: Int32Array
  #ageingMs = 0
  #cursor = 0

  constructor(options: FdbOptions) {
    checkFdbOptions(options)
    const { maxEntries, maxPorts, seed } = options
    this.maxEntries = maxEntries
    this.memory = options.memory ?? new SharedArrayBuffer(bytesFor(maxEntries))
    this.portEntries = new Int32Array(maxPorts)
    this.#portStatics = new Int32Array(maxPorts)
    this.#table = new FdbTable(this.memory, maxEntries, seed)
    this.#cells = this.#table.cells
    this.capacity = this.#table.capacity
    if (this.#cells[Header.magic] === MAGIC) this.#takeOver()
    this.ageingMs = options.ageingMs
    Atomics.store(this.#cells, Header.magic, MAGIC)
  }

  /** Bytes of shared memory that a table of so many entries needs. */
  static bytesFor(maxEntries: number): number {
    return bytesFor(maxEntries)
  }

  get ageingMs(): number {
    return this.#ageingMs
  }

  set ageingMs(ageingMs: number) {
    if (!(ageingMs >= 0 && ageingMs <= MAX_AGEING_MS)) {
      throw new RangeError(`ageingMs must be 0..${MAX_AGEING_MS}, not ${ageingMs}`)
    }
    this.#ageingMs = ageingMs | 0
    Atomics.store(this.#cells, Header.ageingMs, ageingMs | 0)
  }

  /**
   * Notes that a frame from this address came in by `port`, which may hold `limit` entries.
   * @param now milliseconds, modulo 2^32 or not
   * @returns one of `Learned`
   */
  learn(keyHigh: number, keyLow: number, port: number, limit: number, now: number): number {
    const cells = this.#cells
    const tag = tagOf(keyHigh)
    const slot = this.#table.home(tag, keyLow)
    const at = slotAt(slot)
    if (cells[at] === tag && cells[keyLowAt(at)] === keyLow && cells[placeAt(at)] === port) {
      const quietMs = (now - cells[lastSeenAt(at)]) | 0
      if (quietMs === 0) return REFRESHED
      if (quietMs <= this.#ageingMs) {
        cells[lastSeenAt(at)] = now | 0
        return REFRESHED
      }
    }
    return this.#learnFrom(slot, tag, keyLow, port, limit, now | 0)
  }

  /** Port index of the address, or -1 when it is unknown or its entry expired. */
  lookup(keyHigh: number, keyLow: number, now: number): number {
    const cells = this.#cells
    const tag = tagOf(keyHigh)
    let slot = this.#table.home(tag, keyLow)
    if (cells[slotAt(slot)] !== tag || cells[keyLowAt(slotAt(slot))] !== keyLow) {
      slot = this.#table.findFrom(slot, tag, keyLow)
      if (slot === NONE) return NONE
    }
    const at = slotAt(slot)
    const place = cells[placeAt(at)]
    return isHidden(place, cells[lastSeenAt(at)], now | 0, this.#ageingMs) ? NONE : portOf(place)
  }

  /**
   * Binds the address to a port for good, wherever it was before. In a full table a learned address makes place.
   * @returns false when the table is full of static entries
   */
  addStatic(keyHigh: number, keyLow: number, port: number, now: number): boolean {
    return this.#enterStatic(keyHigh, keyLow, staticPlace(port), now)
  }

  /** The same for a port that does not forward: the address is learned nowhere, and look-ups do not find it. */
  reserveStatic(keyHigh: number, keyLow: number, port: number, now: number): boolean {
    return this.#enterStatic(keyHigh, keyLow, reservedPlace(port), now)
  }

  /** Takes the address out, dynamic or static; false when it was not there. */
  remove(keyHigh: number, keyLow: number): boolean {
    const slot = this.#table.find(tagOf(keyHigh), keyLow)
    if (slot === NONE) return false
    this.#delete(slot)
    return true
  }

  /** The port that the address is bound to or reserved for; -1 where it is not static. */
  staticOwner(keyHigh: number, keyLow: number): number {
    const slot = this.#table.find(tagOf(keyHigh), keyLow)
    if (slot === NONE) return NONE
    const place = this.#cells[placeAt(slotAt(slot))]
    return isStatic(place) ? portOf(place) : NONE
  }

  /** True when the address has a static entry. */
  isStatic(keyHigh: number, keyLow: number): boolean {
    return this.staticOwner(keyHigh, keyLow) !== NONE
  }

  /**
   * Looks at the next `budget` slots and takes out expired entries; the following call goes on from there.
   * @returns how many were taken out
   */
  age(now: number, budget: number): number {
    const cells = this.#cells
    const time = now | 0
    cells[Header.now] = time
    let removed = 0
    for (let left = budget; left > 0; left--) {
      const at = slotAt(this.#cursor)
      if (cells[at] !== 0 && isExpired(cells[placeAt(at)], cells[lastSeenAt(at)], time, this.#ageingMs)) {
        this.#delete(this.#cursor)
        removed++
      } else {
        this.#cursor = (this.#cursor + 1) & this.#table.mask
      }
    }
    this.stats[FdbStat.aged] += removed
    return removed
  }

  /** Takes out all dynamic entries. Looks at every slot. Returns how many. */
  flush(): number {
    let removed = 0
    for (let slot = 0; slot < this.capacity; ) {
      const at = slotAt(slot)
      if (this.#cells[at] !== 0 && !isStatic(this.#cells[placeAt(at)])) {
        this.#delete(slot)
        removed++
      } else {
        slot++
      }
    }
    return removed
  }

  /**
   * Takes out the port's dynamic entries, and its static ones too if asked. Stops at the last of them, at once when
   * there are none, but may have to look at every slot: about 1 ms for 100,000 entries.
   */
  flushPort(port: number, andStatic: boolean): number {
    const kept = andStatic ? 0 : this.#portStatics[port]
    let removed = 0
    for (let slot = 0; slot < this.capacity && this.portEntries[port] > kept; ) {
      const at = slotAt(slot)
      const place = this.#cells[placeAt(at)]
      if (this.#cells[at] !== 0 && portOf(place) === port && (andStatic || !isStatic(place))) {
        this.#delete(slot)
        removed++
      } else {
        slot++
      }
    }
    return removed
  }

  /** The rest of `learn`: not at home in the first slot, or more to do than to note the time. */
  #learnFrom(first: number, tag: number, keyLow: number, port: number, limit: number, time: number): number {
    const cells = this.#cells
    const { mask } = this.#table
    const ageingMs = this.#ageingMs
    let reusable = NONE
    let slot = first
    for (;;) {
      const at = slotAt(slot)
      const found = cells[at]
      if (found === 0) break
      const place = cells[placeAt(at)]
      const lastSeen = cells[lastSeenAt(at)]
      const expired = isExpired(place, lastSeen, time, ageingMs)
      if (found === tag && cells[keyLowAt(at)] === keyLow) {
        if (expired) {
          reusable = slot
          break
        }
        if (portOf(place) !== port) return this.#move(at, place, port, limit, time)
        if (lastSeen !== time) cells[lastSeenAt(at)] = time
        return REFRESHED
      }
      if (expired && reusable === NONE) reusable = slot
      slot = (slot + 1) & mask
    }
    return this.#add(tag, keyLow, port, limit, time, slot, reusable)
  }

  #move(at: number, place: number, port: number, limit: number, time: number): number {
    if (isStatic(place)) return this.#refuse(Learned.staticElsewhere)
    if (this.portEntries[port] >= limit) return this.#refuse(Learned.portFull)
    this.#table.change()
    Atomics.store(this.#cells, placeAt(at), port)
    this.#cells[lastSeenAt(at)] = time
    this.#table.changed()
    this.#count(place, -1)
    this.#count(port, 1)
    this.movedFrom = portOf(place)
    this.stats[FdbStat.moved]++
    return Learned.moved
  }

  /**
   * `empty` ends the key's run; `reusable` is a slot of the run whose entry expired, possibly the key's own, or NONE.
   */
  #add(
    tag: number,
    keyLow: number,
    port: number,
    limit: number,
    time: number,
    empty: number,
    reusable: number,
  ): number {
    const expired = reusable === NONE ? NONE : this.#cells[placeAt(slotAt(reusable))]
    if (this.portEntries[port] - (expired === port ? 1 : 0) >= limit) return this.#refuse(Learned.portFull)
    if (expired === NONE && this.entries >= this.maxEntries) return this.#refuse(Learned.tableFull)
    this.#table.change()
    if (expired !== NONE) {
      this.#table.clear(reusable)
      this.#count(expired, -1)
      this.stats[FdbStat.aged]++
    }
    this.#table.put(expired === NONE ? empty : reusable, tag, keyLow, port, time)
    this.#table.changed()
    this.#count(port, 1)
    this.stats[FdbStat.learned]++
    return Learned.added
  }

  #enterStatic(keyHigh: number, keyLow: number, place: number, now: number): boolean {
    this.remove(keyHigh, keyLow)
    if (this.entries >= this.maxEntries && !this.#makePlace()) return false
    const tag = tagOf(keyHigh)
    this.#table.change()
    this.#table.put(this.#table.gap(tag, keyLow), tag, keyLow, place, now | 0)
    this.#table.changed()
    this.#count(place, 1)
    return true
  }

  /** Takes out the next learned address from where the sweep is; false when there is none. */
  #makePlace(): boolean {
    for (let left = this.capacity; left > 0; left--) {
      const at = slotAt(this.#cursor)
      if (this.#cells[at] !== 0 && !isStatic(this.#cells[placeAt(at)])) {
        this.#delete(this.#cursor)
        return true
      }
      this.#cursor = (this.#cursor + 1) & this.#table.mask
    }
    return false
  }

  #refuse(why: number): number {
    this.stats[FdbStat.refused]++
    return why
  }

  #delete(slot: number): void {
    this.#count(this.#cells[placeAt(slotAt(slot))], -1)
    this.#table.delete(slot)
  }

  #count(place: number, change: number): void {
    this.entries += change
    this.portEntries[portOf(place)] += change
    if (isStatic(place)) this.#portStatics[portOf(place)] += change
  }

  #takeOver(): void {
    this.#table.salvage(place => portOf(place) < this.portEntries.length)
    for (let slot = 0; slot < this.capacity; slot++) {
      const at = slotAt(slot)
      if (this.#cells[at] !== 0) this.#count(this.#cells[placeAt(at)], 1)
    }
  }
}
