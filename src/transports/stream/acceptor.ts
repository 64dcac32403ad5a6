/**
 * Listening sockets of a stream endpoint: accepts a bounded number of connections a turn, and rests while no descriptor
 * is left.
 */
import type { Endpoint, EndpointHost } from '../../dataplane/endpoint.js'
import * as streams from '../../os/stream-socket.js'

/** Connections accepted in one turn; the others wait for the next, after frames had theirs. */
const ACCEPTS = 16

export class Acceptor {
  readonly #endpoint: Endpoint
  readonly #host: EndpointHost
  readonly #listening: readonly number[]
  /** The sockets are not watched until the next tick. */
  #resting = false

  constructor(endpoint: Endpoint, host: EndpointHost, listening: readonly number[]) {
    this.#endpoint = endpoint
    this.#host = host
    this.#listening = listening
  }

  open(): void {
    for (const fd of this.#listening) this.#host.watch(this.#endpoint, fd)
  }

  /** Hands over each connection that waits. False: the process or the system has no descriptor left. */
  accept(listening: number, admit: (fd: number) => void): boolean {
    const { layout } = this.#host.os
    const { EMFILE, ENFILE, ENOMEM, ENOBUFS, ECONNABORTED, EINTR } = layout.errno
    for (let i = 0; i < ACCEPTS; i++) {
      const fd = streams.acceptConnection(layout, listening)
      if (fd >= 0) {
        admit(fd)
        continue
      }
      if (fd === -ECONNABORTED || fd === -EINTR) continue
      if (![EMFILE, ENFILE, ENOMEM, ENOBUFS].includes(-fd)) return true
      // The kernel would report it as readable for ever.
      this.#host.unwatch(listening)
      this.#resting = true
      return false
    }
    return true
  }

  tick(): void {
    if (!this.#resting) return
    this.#resting = false
    this.open()
  }

  close(): void {
    for (const fd of this.#listening) this.#host.unwatch(fd)
  }
}
