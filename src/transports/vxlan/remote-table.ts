/**
 * Which remote a MAC address is behind. The switch's FDB knows only that it is behind this port; the port itself has
 * many ends, and this is its own table of them, with the same rules: learned from every frame that comes, moved at once
 * when it comes from elsewhere, forgotten after a time of silence, bounded. An address that finds no place is not
 * learned, and what is sent to it goes to all.
 */
import { Fdb } from '../../switch/fdb.js'
import { DESTINATION, isGroup, isStation, macHigh, macLow, SOURCE } from '../../wire/ethernet.js'

/** What `lookup` returns for frames that every remote gets. */
export const ALL = -1

export class RemoteTable {
  readonly #fdb: Fdb
  readonly #maxEntries: number

  /** `maxRemotes`: numbers of remotes are below it. `seed`: 32 random bits. */
  constructor(maxEntries: number, maxRemotes: number, ageingMs: number, seed: number) {
    this.#maxEntries = maxEntries
    this.#fdb = new Fdb({ maxEntries, maxPorts: maxRemotes, ageingMs, seed })
  }

  get size(): number {
    return this.#fdb.entries
  }

  set ageingMs(ageingMs: number) {
    this.#fdb.ageingMs = ageingMs
  }

  /** The frame at `at` came from this remote. `now` in milliseconds. */
  learn(bytes: Uint8Array, at: number, remote: number, now: number): void {
    const high = macHigh(bytes, at + SOURCE)
    const low = macLow(bytes, at + SOURCE)
    if (isStation(high, low)) this.#fdb.learn(high, low, remote, this.#maxEntries, now)
  }

  /** Where the frame at `at` goes to: a remote, or ALL. */
  lookup(bytes: Uint8Array, at: number, now: number): number {
    const high = macHigh(bytes, at + DESTINATION)
    return isGroup(high) ? ALL : this.#fdb.lookup(high, macLow(bytes, at + DESTINATION), now)
  }

  /** A remote is gone, and its number will be another's. */
  forget(remote: number): void {
    this.#fdb.flushPort(remote, true)
  }

  /** Takes out what is too old; about once a second, so that all of the table is seen in ten. */
  age(now: number): void {
    this.#fdb.age(now, Math.ceil(this.#fdb.capacity / 10))
  }
}
