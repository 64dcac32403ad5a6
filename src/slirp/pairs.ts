/**
 * The socketpairs between the stack and the data plane: the stack's end is read by the slirp thread, the other is a connection of
 * the stream endpoint. Both belong to the main thread.
 *
 * A stream that lost a thread at either end is out of step, so whenever one dies the pair is replaced, under the same port. The
 * data plane's end of the old pair is closed only when the data plane says that it has let go, and until then it takes no other.
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
  /** The data plane let go of its end: the stack has to be given another. */
  readonly lost: (reason: string) => void
}

export class Pairs {
  readonly #parts: PairsParts
  readonly #theirs = new Map<number, number>()
  #id = 0
  #ours = -1
  #attached = false
  /** What the data plane was given last and has not let go of; 0 for nothing. */
  #held = 0

  constructor(parts: PairsParts) {
    this.#parts = parts
  }

  /** A new pair, for a thread that begins: nobody uses the stack's end of the one before. Returns the new one. */
  renew(): number {
    const before = this.#ours
    const fd = this.#open()
    if (before >= 0) closeSocket(before)
    return fd
  }

  /** A new pair, for a thread that runs: `before` is closed by the caller once the thread has let go of it. */
  replace(): { fd: number; before: number } {
    const before = this.#ours
    return { fd: this.#open(), before }
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

  /** The data plane has let go before, and the slirp thread ended. Idempotent. */
  close(): void {
    this.#attached = false
    for (const id of [...this.#theirs.keys()]) this.#release(id)
    if (this.#ours >= 0) closeSocket(this.#ours)
    this.#ours = -1
  }

  #open(): number {
    const { layout } = this.#parts
    const [ours, theirs] = streamPair(layout)
    for (const fd of [ours, theirs]) sizeSocketBuffers(layout, fd, BUFFER_BYTES, BUFFER_BYTES)
    this.#id++
    this.#ours = ours
    this.#theirs.set(this.#id, theirs)
    this.#give()
    return ours
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
