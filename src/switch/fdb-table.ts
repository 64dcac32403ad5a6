/**
 * The hash table under the filtering database: linear probing over shared memory, one writer. It knows keys and slots;
 * ageing, limits and counting are `fdb.ts`.
 *
 * A run is a stretch of occupied slots. Deleting moves later entries of the run back into the gap, so no tombstones are
 * left and a probe may stop at the first empty slot.
 *
 * Every change is bracketed by `change` and `changed`, which make the sequence counter odd and even again for readers
 * on other threads, and is made with Atomics in an order in which each slot is at any instant empty or whole: its key's
 * high half is cleared first and written last. A writer that is killed half-way leaves at worst one entry twice or a
 * gap in a run, never a mixture of two, so `salvage` can put a used table in order again.
 */
import { FdbHash } from './fdb-hash.js'
import { capacityFor, Header, isOccupied, keyLowAt, lastSeenAt, placeAt, SLOT_SIZE, slotAt } from './fdb-memory.js'

export class FdbTable {
  readonly capacity: number
  readonly mask: number
  readonly cells: Int32Array
  readonly #hash: FdbHash

  constructor(memory: SharedArrayBuffer, maxEntries: number, seed: number) {
    this.capacity = capacityFor(maxEntries)
    this.mask = this.capacity - 1
    this.cells = new Int32Array(memory)
    this.#hash = new FdbHash(seed)
  }

  /** Where the key's run may begin. `tag` is the key's high half with the occupied bit. */
  home(tag: number, keyLow: number): number {
    return this.#hash.of(tag, keyLow) & this.mask
  }

  /** The key's slot, or -1. */
  find(tag: number, keyLow: number): number {
    return this.findFrom(this.home(tag, keyLow), tag, keyLow)
  }

  /** The key's slot, looked for from its home on, or -1. */
  findFrom(home: number, tag: number, keyLow: number): number {
    const { cells } = this
    let slot = home
    for (;;) {
      const at = slotAt(slot)
      const found = cells[at]
      if (found === tag && cells[keyLowAt(at)] === keyLow) return slot
      if (found === 0) return -1
      slot = (slot + 1) & this.mask
    }
  }

  /** The empty slot in which a key that is not in the table belongs. */
  gap(tag: number, keyLow: number): number {
    let slot = this.home(tag, keyLow)
    while (this.cells[slotAt(slot)] !== 0) slot = (slot + 1) & this.mask
    return slot
  }

  /** Announces a change to readers. */
  change(): void {
    Atomics.add(this.cells, Header.sequence, 1)
  }

  changed(): void {
    Atomics.add(this.cells, Header.sequence, 1)
  }

  /** Fills an empty slot; only between `change` and `changed`. */
  put(slot: number, tag: number, keyLow: number, place: number, lastSeen: number): void {
    const { cells } = this
    const at = slotAt(slot)
    Atomics.store(cells, keyLowAt(at), keyLow)
    Atomics.store(cells, placeAt(at), place)
    Atomics.store(cells, lastSeenAt(at), lastSeen)
    Atomics.store(cells, at, tag)
  }

  /** Empties a slot, leaving a gap that the caller fills; only between `change` and `changed`. */
  clear(slot: number): void {
    Atomics.store(this.cells, slotAt(slot), 0)
  }

  /** Empties a slot and closes the gap. An entry that moves into `slot` came from a later slot of the run. */
  delete(slot: number): void {
    const { cells, mask } = this
    this.change()
    this.clear(slot)
    let gap = slot
    for (let next = (slot + 1) & mask; ; next = (next + 1) & mask) {
      const from = slotAt(next)
      const tag = cells[from]
      if (tag === 0) break
      const keyLow = cells[keyLowAt(from)]
      const reach = (next - this.home(tag, keyLow)) & mask
      if (reach < ((next - gap) & mask)) continue
      this.put(gap, tag, keyLow, cells[placeAt(from)], cells[lastSeenAt(from)])
      this.clear(next)
      gap = next
    }
    this.changed()
  }

  /**
   * Puts a table that another writer left in order: empties it and enters each key once, the one seen last.
   * @param keep decides by place whether an entry stays
   */
  salvage(keep: (place: number) => boolean): void {
    const { cells } = this
    if ((cells[Header.sequence] & 1) === 0) this.change()
    const entries = cells.slice(slotAt(0))
    for (let slot = 0; slot < this.capacity; slot++) this.clear(slot)
    for (let i = 0; i < entries.length; i += SLOT_SIZE) {
      const tag = entries[i]
      const place = entries[placeAt(i)]
      if (!isOccupied(tag) || !keep(place)) continue
      const keyLow = entries[keyLowAt(i)]
      const lastSeen = entries[lastSeenAt(i)]
      const twin = this.find(tag, keyLow)
      if (twin >= 0 && ((lastSeen - cells[lastSeenAt(slotAt(twin))]) | 0) <= 0) continue
      if (twin >= 0) this.clear(twin)
      this.put(twin >= 0 ? twin : this.gap(tag, keyLow), tag, keyLow, place, lastSeen)
    }
    this.changed()
  }
}
