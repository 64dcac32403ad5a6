/**
 * One page of the filtering database, in order of address, in steps that keep the thread that asks for some
 * milliseconds each, however large the table is.
 *
 * To copy and sort a table of a million addresses takes hundreds of milliseconds. Here the work is cut into steps: some
 * read slots, then some select. Selecting a page does not need a sorted table: as in quicksort, a range is parted in
 * two by an address taken from it, and only the part that the page lies in is parted again (Hoare's selection). The
 * address is taken at random, so that guests, who choose addresses, cannot choose the worst case. What is sorted in the
 * end is the page.
 *
 * Addresses that come and go between the first step and the last may be on the page or not, and `total` counts what the
 * steps saw. A table at rest is shown exactly.
 *
 * Measured with 1,048,576 entries, in CPU time of one run: a whole page costs an eighth of a copy (FdbReader.snapshot),
 * and the longest of its 70 steps a hundredth.
 */
import { isStatic, portOf, staticPlace } from './fdb-memory.js'
import type { FdbEntry, FdbReader } from './fdb-reader.js'

/** About a millisecond of reading on a quiet machine. */
const SLOTS_A_STEP = 32_768
/** Ranges of so many addresses are sorted instead of parted. */
const SORTED = 16_384

export interface FdbPageQuery {
  /** Which ports' entries, by port index. */
  readonly isWanted: (port: number) => boolean
  /** Only this address, as a 48-bit integer. */
  readonly mac?: number | undefined
  /** Static addresses that may not be in the table because their port is down: port index by 48-bit address. */
  readonly reserved?: ReadonlyMap<number, number>
  readonly offset: number
  readonly limit: number
}

export class FdbPage {
  /** Entries that are wanted, on this page or not. Right after the last step. */
  total = 0
  readonly #reader: FdbReader
  readonly #query: FdbPageQuery
  readonly #slots: number
  /** Of `reserved`, those that were not met in the table. */
  readonly #missing: Map<number, number>
  #next = 0
  #macs = new Float64Array(1024)
  #places = new Int32Array(1024)
  #ages = new Int32Array(1024)
  /** What is still to be parted so that the page lies between its ends; from `first` to before `end`, around `at`. */
  readonly #ranges: { first: number; end: number; at: number }[] = []
  #isSelected = false

  constructor(reader: FdbReader, query: FdbPageQuery) {
    this.#reader = reader
    this.#query = query
    this.#slots = reader.slots
    this.#missing = new Map(query.reserved)
  }

  /** Does a bounded piece of the work. True when all is done. */
  step(): boolean {
    if (this.#next < this.#slots) {
      this.#read()
      return false
    }
    if (!this.#isSelected) {
      this.#isSelected = true
      for (const [mac, port] of this.#missing) this.#add(mac, staticPlace(port), 0)
      const { offset, limit } = this.#query
      this.#ranges.push({ first: 0, end: this.total, at: offset }, { first: 0, end: this.total, at: offset + limit })
    }
    const range = this.#ranges[0]
    if (range === undefined) return true
    this.#part(range)
    return this.#ranges.length === 0
  }

  /** The page, after the last step. */
  entries(): FdbEntry[] {
    const { offset, limit } = this.#query
    const order = this.#inOrder(offset, Math.min(this.total, offset + limit))
    return order.map(i => {
      const place = this.#places[i] as number
      return {
        vid: 0,
        mac: this.#macs[i] as number,
        port: portOf(place),
        static: isStatic(place),
        ageMs: this.#ages[i] as number,
      }
    })
  }

  #read(): void {
    this.#reader.visit(this.#next, SLOTS_A_STEP, (mac, _vid, place, ageMs) => {
      if (this.#missing.size > 0) this.#missing.delete(mac)
      this.#add(mac, place, ageMs)
    })
    this.#next += SLOTS_A_STEP
  }

  #add(mac: number, place: number, ageMs: number): void {
    const { isWanted, mac: only } = this.#query
    if ((only !== undefined && mac !== only) || !isWanted(portOf(place))) return
    if (this.total === this.#macs.length) this.#grow()
    this.#macs[this.total] = mac
    this.#places[this.total] = place
    this.#ages[this.total++] = ageMs
  }

  #grow(): void {
    const size = this.#macs.length * 2
    this.#macs = grown(this.#macs, new Float64Array(size))
    this.#places = grown(this.#places, new Int32Array(size))
    this.#ages = grown(this.#ages, new Int32Array(size))
  }

  /** Parts the range once, or sorts it when it is small. */
  #part(range: { first: number; end: number; at: number }): void {
    const { first, end, at } = range
    if (at <= first || at >= end) {
      this.#ranges.shift()
      return
    }
    if (end - first <= SORTED) {
      this.#sort(first, end)
      this.#ranges.shift()
      return
    }
    const macs = this.#macs
    const pivot = macs[first + Math.floor(Math.random() * (end - first))] as number
    let left = first
    let right = end - 1
    while (left <= right) {
      while ((macs[left] as number) < pivot) left++
      while ((macs[right] as number) > pivot) right--
      if (left <= right) this.#swap(left++, right--)
    }
    // Now: up to `right` at most the pivot, from `left` on at least the pivot, between them the pivot itself.
    for (const each of this.#ranges) {
      if (each.first > first || each.end < end) continue
      if (each.at <= right) each.end = right + 1
      else if (each.at >= left) each.first = left
      else each.end = each.first = each.at
    }
  }

  #sort(first: number, end: number): void {
    const order = this.#inOrder(first, end)
    for (const column of [this.#macs, this.#places, this.#ages])
      column.set(
        order.map(i => column[i] as number),
        first,
      )
  }

  #inOrder(first: number, end: number): number[] {
    const macs = this.#macs
    const order = Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i)
    return order.sort((a, b) => (macs[a] as number) - (macs[b] as number))
  }

  #swap(a: number, b: number): void {
    swapIn(this.#macs, a, b)
    swapIn(this.#places, a, b)
    swapIn(this.#ages, a, b)
  }
}

function swapIn(column: Float64Array | Int32Array, a: number, b: number): void {
  const before = column[a] as number
  column[a] = column[b] as number
  column[b] = before
}

function grown<Column extends Float64Array | Int32Array>(before: Column, after: Column): Column {
  after.set(before)
  return after
}
