/**
 * Places for connections to the HTTP server, and who has to give one up.
 *
 * A connection costs a descriptor and a little memory, so there are so many places and no more. A client without a
 * token must not be able to hold them: a connection has to earn its place by a request that was answered, not refused.
 * When all places are taken, a new connection takes that of another, in this order: one that has earned nothing yet and
 * has no request under way, the oldest first; then one that is merely kept alive, from the address that holds the most,
 * the longest idle first. Where every connection is in the middle of a request, the new one is closed. So a probe,
 * whose connection lasts a millisecond, finds a place however many connections are held open.
 *
 * One address (a /64 of IPv6) may hold half of the places; past that, it takes from itself. All users of this machine
 * are one address on loopback, and none on a unix socket, so there it does not apply.
 *
 * One connection may have a few requests without an answer at once. Node.js starts to serve every request of a pipeline
 * (RFC 9112 section 9.3.2) as soon as it is read, so without this bound one connection could have thousands of them
 * worked at.
 *
 * A connection that became a WebSocket is counted by its transport, not here. One that offers another protocol in vain
 * keeps its place: the server takes its socket a second time (ignored-upgrade.ts), of which the TLS server tells with
 * 'secureConnection' alone.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { addressKey } from '../failure-limit.js'
import { isLoopback } from './guard.js'
import { asksForWebSocket } from './ignored-upgrade.js'

/** Of all places, what one address may hold. */
const SHARE = 1 / 2
/** Requests without an answer that one connection may have; past them, it is closed. */
const MOST_PIPELINED = 8

interface Place {
  readonly key: unknown
  readonly socket: Socket
  /** Empty where addresses do not tell clients apart. */
  readonly address: string
  /** Requests without an answer yet. */
  open: number
  /** A request was answered, not refused. */
  earned: boolean
  /** Counts up with each change between idle and busy; the smallest is the longest idle. */
  since: number
}

export class Connections {
  readonly #limit: number
  readonly #places = new Map<unknown, Place>()
  readonly #held = new Map<string, number>()
  #clock = 0
  /** Connections that were closed to make room, or for which there was none. */
  closed = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#places.size
  }

  /** Seats every connection of the server from now on. */
  watch(server: Server): void {
    // Of a TLS server, 'connection' comes before the handshake, with the socket that holds the descriptor.
    server.on('connection', (socket: Socket) => {
      if (this.#of(socket)?.socket !== socket) this.#seat(socket)
    })
    // Before the handler, which does nothing for a socket that is destroyed.
    server.prependListener('request', ({ socket }, response) => {
      const place = this.#of(socket)
      if (place === undefined) return
      if (place.open === MOST_PIPELINED) {
        this.closed++
        this.#release(place)
        socket.destroy()
        return
      }
      place.open++
      response.once('close', () => {
        place.open--
        place.since = ++this.#clock
      })
    })
    server.on('upgrade', (request, socket) => {
      const place = asksForWebSocket(request) ? this.#of(socket as Socket) : undefined
      if (place !== undefined) this.#release(place)
    })
  }

  /** A request on this socket was let in. */
  earned(socket: Socket): void {
    const place = this.#of(socket)
    if (place !== undefined) place.earned = true
  }

  #of(socket: Socket): Place | undefined {
    return this.#places.get(keyOf(socket))
  }

  #seat(socket: Socket): void {
    const key = keyOf(socket)
    const { remoteAddress = '' } = socket
    const address = isLoopback(remoteAddress) ? '' : addressKey(remoteAddress)
    const place: Place = { key, socket, address, open: 0, earned: false, since: ++this.#clock }
    this.#places.set(key, place)
    this.#held.set(address, (this.#held.get(address) ?? 0) + 1)
    socket.once('close', () => this.#release(place))
    if (address !== '' && (this.#held.get(address) ?? 0) > this.#limit * SHARE) this.#makeRoom(place, address)
    else if (this.#places.size > this.#limit) this.#makeRoom(place)
  }

  /** Closes one connection: of `address` where it is given, and the new one itself where all others are busy. */
  #makeRoom(fresh: Place, address?: string): void {
    let worst: Place | undefined
    for (const place of this.#places.values()) {
      if (place === fresh || place.open > 0 || (address !== undefined && place.address !== address)) continue
      if (worst === undefined || this.#isWorse(place, worst)) worst = place
    }
    const loser = worst ?? fresh
    this.closed++
    this.#release(loser)
    loser.socket.destroy()
  }

  #isWorse(a: Place, b: Place): boolean {
    if (a.earned !== b.earned) return !a.earned
    if (a.earned) {
      const heldByA = this.#held.get(a.address) ?? 0
      const heldByB = this.#held.get(b.address) ?? 0
      if (heldByA !== heldByB) return heldByA > heldByB
    }
    return a.since < b.since
  }

  #release(place: Place): void {
    if (this.#places.get(place.key) !== place) return
    this.#places.delete(place.key)
    const held = (this.#held.get(place.address) ?? 1) - 1
    if (held === 0) this.#held.delete(place.address)
    else this.#held.set(place.address, held)
  }
}

/** The same for a TLS socket and the TCP socket below it, which is what the server's 'connection' event carries. */
function keyOf(socket: Socket): unknown {
  return socket.remotePort === undefined ? socket : `${socket.remoteAddress} ${socket.remotePort}`
}
