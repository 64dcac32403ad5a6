/**
 * The sockets of one path: the newest is bound to it, the others were, and still serve clients that are connected to
 * them.
 *
 * The first datagram of a client that is connected to us makes the newest socket its own: a *handoff* asks the main
 * thread to bind another one to the path. A guest that connects, sends and closes in a loop causes one handoff each
 * time, so handoffs have a token bucket; a handoff that finds it empty is done by a later tick, and until then clients
 * share the newest socket.
 *
 * A socket without peers is kept for RETIRE_MS, for a client that connected just before the handoff and has been silent
 * since. At most MAX_RETIRED sockets are kept for that reason, the youngest ones.
 */
import type { Endpoint, EndpointHost } from '../../dataplane/endpoint.js'
import type { UnixgramSocket, UnixgramUpcall } from './options.js'

/** Five minutes: longer than a guest takes from its launcher's connect to its first frame. */
export const RETIRE_MS = 300_000
/**
 * Sockets without peers that are kept. A client must lose this many handoffs in RETIRE_MS before it loses its socket.
 * Arbitrary.
 */
export const MAX_RETIRED = 16
/** Handoffs at once: every VM of a rack that boots. Arbitrary. */
export const HANDOFF_BURST = 64
/** Handoffs that are earned each second. */
const HANDOFFS_PER_SECOND = 8

interface Listening {
  readonly fd: number
  readonly generation: number
  /** The main thread was asked for the next one. */
  handedOff: boolean
  /** When a newer socket took the path; 0 for the newest. */
  replacedAt: number
}

export class ListeningSockets {
  readonly #endpoint: Endpoint
  readonly #host: EndpointHost
  readonly #upcall: (upcall: UnixgramUpcall) => void
  readonly #sockets: Listening[] = []
  #tokens = HANDOFF_BURST
  #refilledAt: number
  /** A handoff waits for a token. */
  #wanted = false

  constructor(endpoint: Endpoint, host: EndpointHost, upcall: (upcall: UnixgramUpcall) => void) {
    this.#endpoint = endpoint
    this.#host = host
    this.#upcall = upcall
    this.#refilledAt = host.now()
  }

  /**
   * A socket that has the path now: one of an earlier data plane (oldest first), or the answer to a handoff, which is
   * the newest one again where no other could be made.
   */
  add({ fd, generation }: UnixgramSocket): void {
    const known = this.#sockets.find(socket => socket.generation === generation)
    if (known !== undefined) {
      known.handedOff = false
      return
    }
    for (const socket of this.#sockets) socket.replacedAt ||= this.#host.now()
    this.#sockets.push({ fd, generation, handedOff: false, replacedAt: 0 })
    this.#host.watch(this.#endpoint, fd)
  }

  /**
   * A client that is connected to the socket of this generation has been heard. False: the handoff waits for a token.
   */
  handOff(generation: number): boolean {
    const newest = this.#sockets.at(-1)
    if (newest === undefined || newest.generation !== generation || newest.handedOff) return true
    if (this.#tokens < 1) {
      this.#wanted = true
      return false
    }
    this.#tokens--
    this.#wanted = false
    newest.handedOff = true
    this.#upcall({ type: 'handover', generation })
    return true
  }

  /** 0 for a descriptor that is none of these. */
  generationOf(fd: number): number {
    return this.#sockets.find(socket => socket.fd === fd)?.generation ?? 0
  }

  /** -1 when that socket is closed. */
  fdOf(generation: number): number {
    return this.#sockets.find(socket => socket.generation === generation)?.fd ?? -1
  }

  /** About once a second. `isUsed`: a peer that is up is served through the socket of this generation. */
  tick(now: number, isUsed: (generation: number) => boolean): void {
    this.#tokens = Math.min(HANDOFF_BURST, this.#tokens + ((now - this.#refilledAt) / 1000) * HANDOFFS_PER_SECOND)
    this.#refilledAt = now
    if (this.#wanted) this.handOff((this.#sockets.at(-1) as Listening).generation)
    const idle = this.#sockets.filter(({ replacedAt, generation }) => replacedAt > 0 && !isUsed(generation))
    for (const [i, socket] of idle.entries()) {
      if (now - socket.replacedAt < RETIRE_MS && i >= idle.length - MAX_RETIRED) continue
      this.#host.unwatch(socket.fd)
      this.#sockets.splice(this.#sockets.indexOf(socket), 1)
      this.#upcall({ type: 'release', generation: socket.generation })
    }
  }

  close(): void {
    for (const { fd } of this.#sockets) this.#host.unwatch(fd)
  }
}
