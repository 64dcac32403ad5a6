/**
 * The filtering database as the API shows it, with names of ports. A look takes a table of any size apart in steps of
 * some milliseconds, between which the main thread does other work; looks follow each other, so that many clients cost
 * the memory of one. So many may wait and no more, and a look whose client has gone is left out or ended.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { DataPlane } from '../dataplane/data-plane.js'
import { FdbPage, type FdbPageQuery } from '../switch/fdb-page.js'
import { FdbReader } from '../switch/fdb-reader.js'
import { formatMac, highOf, lowOf } from '../wire/ethernet.js'
import { Refused } from './switch-control.js'
import type { FdbEntryView, FdbPageView, FdbQuery } from './view.js'

/** As many as the HTTP server has places for connections. */
const MOST_WAITING = 256

export class FdbView {
  readonly #dataPlane: DataPlane
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  constructor(dataPlane: DataPlane) {
    this.#dataPlane = dataPlane
  }

  /** In order of address. Rejects with Refused `busy` when too many wait. */
  async page(query: FdbQuery): Promise<FdbPageView> {
    if (this.#waiting >= MOST_WAITING) {
      throw new Refused('busy', `${MOST_WAITING} clients wait for the filtering database; try again in a moment`)
    }
    return this.#page(query)
  }

  /** `mac` as a 48-bit integer. Changes need it, so it is never refused. */
  async find(mac: number): Promise<FdbEntryView | undefined> {
    return (await this.#page({ mac, offset: 0, limit: 1 })).entries[0]
  }

  async #page({ port, mac, offset, limit, isGone }: FdbQuery): Promise<FdbPageView> {
    const { ports } = this.#dataPlane
    const isWanted = (index: number) => {
      const record = ports.get(index)
      return record !== undefined && (port === undefined || record.name === port || String(record.id) === port)
    }
    const page = await this.#look({ isWanted, mac, offset, limit, reserved: this.#reserved() }, isGone)
    const entries = page.entries().flatMap((entry): FdbEntryView[] => {
      const record = ports.get(entry.port)
      if (record === undefined) return []
      return [
        {
          mac: formatMac(highOf(entry.mac), lowOf(entry.mac)),
          portId: record.id,
          port: record.name,
          static: entry.static,
          ageSeconds: entry.static ? null : Math.round(entry.ageMs / 1000),
        },
      ]
    })
    return { total: page.total, limit, offset, entries }
  }

  #reserved(): Map<number, number> {
    const reserved = new Map<number, number>()
    for (const { index, settings } of this.#dataPlane.ports.values()) {
      for (const mac of settings.staticAddresses) reserved.set(mac, index)
    }
    return reserved
  }

  #look(query: FdbPageQuery, isGone: () => boolean = () => false): Promise<FdbPage> {
    this.#waiting++
    const done = this.#last.then(async () => {
      const page = new FdbPage(new FdbReader(this.#dataPlane.fdb), query)
      while (!isGone() && !page.step()) await nextTurn()
      return page
    })
    this.#last = done.catch(() => {}).then(() => this.#waiting--)
    return done
  }
}
