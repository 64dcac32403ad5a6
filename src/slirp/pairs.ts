/**
 * The socket pairs between the slirp process and the data plane. One end goes to the process, which owns it from then
 * on; the other is a connection of the stream endpoint and belongs to the main thread.
 *
 * When either side is replaced, the stream is out of step, so the pair is replaced too, under the same port. The data
 * plane's end of the old pair is closed only when the data plane says that it has let go, and until then it takes no
 * other.
 */
import type { EndpointMessage } from '../dataplane/messages.js'
import type { Layout } from '../os/layout.js'
import { streamPair } from '../os/stream-socket.js'
import { closeSocket, sizeSocketBuffers } from '../os/unix-socket.js'
import type { GivenConnection, StreamDowncall, StreamUpcall } from '../transports/stream/options.js'
import type { SendToEndpoint } from '../transports/transport.js'

/** Asked for in each direction: some 700 full frames, as Linux counts. */
const BUFFER_BYTES = 1024 * 1024

export interface PairsParts {
  readonly layout: Layout
  readonly portName: string
  readonly peer: string
  readonly send: SendToEndpoint
  /** The data plane let go of its end: the process has to be given another. */
  readonly lost: (reason: string) => void
}

export class Pairs {
  readonly #parts: PairsParts
  readonly #theirs = new Map<number, number>()
  #id = 0
  #attached = false
  /** What the data plane was given last and has not let go of; 0 for nothing. */
  #held = 0

  constructor(parts: PairsParts) {
    this.#parts = parts
  }

  /** A new pair. Returns the end for the process; the caller closes it when it is handed over. */
  renew(): number {
    const { layout } = this.#parts
    const [ours, theirs] = streamPair(layout)
    for (const fd of [ours, theirs]) sizeSocketBuffers(layout, fd, BUFFER_BYTES, BUFFER_BYTES)
    this.#id++
    this.#theirs.set(this.#id, theirs)
    this.#give()
    return ours
  }

  /** For a data plane that begins: it knows of no pair but the present one. */
  connections(): GivenConnection[] {
    this.#attached = true
    for (const id of [...this.#theirs.keys()]) if (id !== this.#id) this.#release(id)
    this.#held = this.#id
    return [this.#given()]
  }

  message(message: EndpointMessage): void {
    const upcall = message as unknown as StreamUpcall
    if (upcall.type !== 'ended') return
    this.#release(upcall.id)
    if (this.#held === upcall.id) this.#held = 0
    if (upcall.id === this.#id) this.#parts.lost(upcall.reason)
    else this.#give()
  }

  /** The data plane has let go before, and the process ended. Idempotent. */
  close(): void {
    this.#attached = false
    for (const id of [...this.#theirs.keys()]) this.#release(id)
  }

  #give(): void {
    if (!this.#attached || this.#held !== 0 || !this.#theirs.has(this.#id)) return
    this.#held = this.#id
    this.#parts.send({ ...({ type: 'give', connection: this.#given() } satisfies StreamDowncall) })
  }

  #given(): GivenConnection {
    const { portName, peer } = this.#parts
    return { id: this.#id, fd: this.#theirs.get(this.#id) ?? -1, portName, peer }
  }

  #release(id: number): void {
    const fd = this.#theirs.get(id)
    if (fd !== undefined) closeSocket(fd)
    this.#theirs.delete(id)
  }
}
