/**
 * The DHCP addresses that libslirp has given away. libslirp 4.7.0 says nothing when it has none left, and loses a
 * buffer for each request that it cannot serve (bootp.c: it returns without freeing it), so such requests have to be
 * kept from it. This is the same table, filled by the same rules from the same requests: sixteen places, in each the
 * MAC address that the request named. No lease ever ends.
 *
 * The stations behind one source MAC address get at most four of the places, so that one guest that makes up addresses
 * does not use up the pool.
 */
import { slirpLeases } from '../config/interfaces/slirp-leases.js'
import { PASS, Refuse } from './refusals.js'
import { word } from './stack-addresses.js'
import { dhcpOption } from './well-formed.js'

export const LEASES_PER_SOURCE = 4

const DISCOVER = 1
const REQUEST = 3
const OPTION_REQUESTED = 50
const OPTION_TYPE = 53
const CLIENT_ADDRESS = 12
const CLIENT_MAC = 28
const FREE = -1

export class DhcpPool {
  readonly #start: number
  readonly #stations = new Float64Array(slirpLeases)
  readonly #sources = new Float64Array(slirpLeases).fill(FREE)

  /** `start`: the first address, as an unsigned number. */
  constructor(start: number) {
    this.#start = start
  }

  get free(): number {
    return this.#sources.reduce((sum, source) => sum + (source === FREE ? 1 : 0), 0)
  }

  /** A request that is well formed, from `at` behind the UDP header up to `end`, and the MAC address it came from. */
  request(bytes: Uint8Array, at: number, end: number, source: number): number {
    const typeAt = dhcpOption(bytes, at, end, OPTION_TYPE, 1)
    const type = typeAt < 0 || bytes[typeAt] === 0 ? REQUEST : bytes[typeAt]
    if (type !== DISCOVER && type !== REQUEST) return Refuse.notOurs
    const station = macAt(bytes, at + CLIENT_MAC)
    const requestedAt = dhcpOption(bytes, at, end, OPTION_REQUESTED, 4)
    let requested = requestedAt < 0 ? 0 : word(bytes, requestedAt)
    // libslirp takes ciaddr only where the message says that it is a request.
    if (requested === 0 && typeAt >= 0 && bytes[typeAt] === REQUEST) requested = word(bytes, at + CLIENT_ADDRESS)
    if (requested !== 0) {
      const place = this.#placeOf(requested, station)
      if (place >= 0) return this.#give(place, station, source)
      // It is answered with a NAK.
      if (type === REQUEST) return PASS
    } else if (type === REQUEST) {
      const own = this.#stations.indexOf(station)
      if (own >= 0) return this.#give(own, station, source)
    }
    const place = this.#first(station)
    return place < 0 ? Refuse.dhcpPool : this.#give(place, station, source)
  }

  #give(place: number, station: number, source: number): number {
    if (this.#sources[place] === FREE) {
      let held = 0
      for (const each of this.#sources) if (each === source) held++
      if (held >= LEASES_PER_SOURCE) return Refuse.dhcpShare
      this.#sources[place] = source
    }
    this.#stations[place] = station
    return PASS
  }

  /** The place of a requested address, where it is free or the station's own. */
  #placeOf(address: number, station: number): number {
    const place = address - this.#start
    if (place < 0 || place >= slirpLeases) return -1
    return this.#sources[place] === FREE || this.#stations[place] === station ? place : -1
  }

  /** The first place that is free or the station's own. */
  #first(station: number): number {
    for (let place = 0; place < slirpLeases; place++) {
      if (this.#sources[place] === FREE || this.#stations[place] === station) return place
    }
    return -1
  }
}

/** The six bytes as a number. */
export function macAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 8) | bytes[at + 1]) * 2 ** 32 + word(bytes, at + 2)
}
