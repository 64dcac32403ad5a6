/**
 * Reads the filtering database from another thread while the data plane goes on writing. Nothing is locked and the
 * writer is never held up; the reader copies and checks.
 *
 * It copies the slots in chunks and takes a chunk if the sequence counter was even before and the same after; else it
 * copies the chunk again, a bounded number of times. If the writer never leaves it that long, or died in the middle of
 * a change, the slots of the chunk are read one by one, each twice, and taken if both readings agree and no other
 * change began.
 *
 * What comes out: every entry was in the table at some moment of the snapshot, none is a mixture of two, no address is
 * there twice. While addresses come and go, an entry that a deletion shifted from a chunk not yet read to one read
 * already is missed: therefore the pass is repeated if the table changed, and what either saw counts. When the table is
 * at rest, the snapshot is exact.
 */
import { joinMac } from '../wire/ethernet.js'
import {
  Header,
  isExpired,
  isOccupied,
  isStatic,
  keyLowAt,
  lastSeenAt,
  MAGIC,
  placeAt,
  portOf,
  SLOT_SIZE,
  slotAt,
  vidOf,
} from './fdb-memory.js'

export interface FdbEntry {
  vid: number
  /** 48-bit integer. */
  mac: number
  /** Port index. */
  port: number
  static: boolean
  /** Milliseconds since a frame from this address was seen, by the writer's clock when it last swept. */
  ageMs: number
}

/** Gets one entry: `place` holds its port and whether it is static, see fdb-memory.ts; the rest as in FdbEntry. */
export type FdbVisitor = (mac: number, vid: number, place: number, ageMs: number) => void

/** Small enough to be read between two changes of a writer that learns a million addresses a second. */
const CHUNK_SLOTS = 32
const CHUNK_CELLS = CHUNK_SLOTS * SLOT_SIZE
/** All three arbitrary. */
const CHUNK_ATTEMPTS = 32
const SLOT_ATTEMPTS = 8
const PASSES = 3

export class FdbReader {
  readonly #cells: Int32Array
  readonly #chunk = new Int32Array(CHUNK_CELLS)

  /** `memory` is that of an `Fdb`, which may be made later. */
  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Int32Array(memory)
  }

  /** Slots to visit; 0 while there is no table. */
  get slots(): number {
    if (Atomics.load(this.#cells, Header.magic) !== MAGIC) return 0
    return (this.#cells.length - slotAt(0)) / SLOT_SIZE
  }

  /** Changes whenever the table does. */
  get sequence(): number {
    return Atomics.load(this.#cells, Header.sequence)
  }

  /** The entries that have not expired, in no order. Allocates one object for each. */
  snapshot(): FdbEntry[] {
    /** By VID, then by address. */
    const found = new Map<number, Map<number, FdbEntry>>()
    const { slots } = this
    for (let pass = 0; pass < PASSES && slots > 0; pass++) {
      const before = this.sequence
      this.visit(0, slots, (mac, vid, place, ageMs) => {
        const ofVid = found.get(vid) ?? new Map<number, FdbEntry>()
        found.set(vid, ofVid.set(mac, { vid, mac, port: portOf(place), static: isStatic(place), ageMs }))
      })
      if (this.sequence === before) break
    }
    return [...found.values()].flatMap(entries => [...entries.values()])
  }

  /** Visits the entries in `count` slots from `first` on that have not expired. Allocates nothing. */
  visit(first: number, count: number, visitor: FdbVisitor): void {
    const end = Math.min(slotAt(first + count), this.#cells.length)
    for (let at = slotAt(first); at < end; at += CHUNK_CELLS) {
      const cells = Math.min(CHUNK_CELLS, end - at)
      this.#copy(at, cells)
      this.#pass(cells, visitor)
    }
  }

  /** Copies a chunk of whole entries. */
  #copy(at: number, count: number): void {
    const cells = this.#cells
    const chunk = this.#chunk
    for (let attempt = 0; attempt < CHUNK_ATTEMPTS; attempt++) {
      const before = Atomics.load(cells, Header.sequence)
      if ((before & 1) !== 0) continue
      for (let i = 0; i < count; i++) chunk[i] = Atomics.load(cells, at + i)
      if (Atomics.load(cells, Header.sequence) === before) return
    }
    for (let i = 0; i < count; i += SLOT_SIZE) {
      let whole = false
      for (let attempt = 0; attempt < SLOT_ATTEMPTS && !whole; attempt++) whole = this.#copySlot(at + i, i)
      if (!whole) chunk[i] = 0
    }
  }

  /**
   * Copies one slot though a change may be under way. Within one change a slot goes from an entry to empty to another
   * entry, never back, its key's high half last: so two equal readings without a new change in between are one entry.
   */
  #copySlot(at: number, to: number): boolean {
    const cells = this.#cells
    const before = Atomics.load(cells, Header.sequence)
    for (let i = 0; i < SLOT_SIZE; i++) this.#chunk[to + i] = Atomics.load(cells, at + i)
    for (let i = SLOT_SIZE - 1; i >= 0; i--) if (Atomics.load(cells, at + i) !== this.#chunk[to + i]) return false
    return Atomics.load(cells, Header.sequence) === before
  }

  #pass(count: number, visitor: FdbVisitor): void {
    const chunk = this.#chunk
    const now = this.#cells[Header.now]
    const ageingMs = this.#cells[Header.ageingMs]
    for (let i = 0; i < count; i += SLOT_SIZE) {
      const tag = chunk[i]
      const place = chunk[placeAt(i)]
      const lastSeen = chunk[lastSeenAt(i)]
      if (!isOccupied(tag) || isExpired(place, lastSeen, now, ageingMs)) continue
      visitor(joinMac(tag, chunk[keyLowAt(i)]), vidOf(tag), place, Math.max(0, (now - lastSeen) | 0))
    }
  }
}
