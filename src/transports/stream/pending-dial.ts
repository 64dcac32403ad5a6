/** A stream connection that is being made; one at a time. */
import { getSystemErrorName } from 'node:util'
import type { Endpoint, EndpointHost } from '../../dataplane/endpoint.js'
import * as streams from '../../os/stream-socket.js'
import { closeSocket } from '../../os/unix-socket.js'
import type { SocketOptions } from './options.js'
import { prepareSocket } from './socket-options.js'

/** A connection that is not made in this time will not be. */
const DIAL_TIMEOUT_MS = 10_000

interface Dialling {
  readonly fd: number
  readonly since: number
  readonly peer: string
}

export interface DialResult {
  /** Connected; the caller's from now on. */
  connected(fd: number, peer: string): void
  /** The socket is closed. `error` for people. */
  failed(error: string): void
}

export class PendingDial {
  readonly #endpoint: Endpoint
  readonly #host: EndpointHost
  readonly #socket: SocketOptions
  readonly #result: DialResult
  #dialling: Dialling | null = null

  constructor(endpoint: Endpoint, host: EndpointHost, socket: SocketOptions, result: DialResult) {
    this.#endpoint = endpoint
    this.#host = host
    this.#socket = socket
    this.#result = result
  }

  get active(): boolean {
    return this.#dialling !== null
  }

  /** `family` and `address` as the kernel wants them, `peer` for people. */
  start(family: number, address: Uint8Array, peer: string): void {
    const { layout } = this.#host.os
    const { fd, result } = streams.dial(layout, family, address)
    if (fd < 0) {
      this.#result.failed(getSystemErrorName(fd))
      return
    }
    // From here to the end of the attempt, also when an exception ends it, `close` knows the descriptor.
    this.#dialling = { fd, since: this.#host.now(), peer }
    prepareSocket(layout, fd, this.#socket)
    if (result >= 0) this.#connected(fd, peer)
    else if (result === -layout.errno.EINPROGRESS) this.#host.awaitConnected(this.#endpoint, fd)
    else this.#fail(fd, getSystemErrorName(result))
  }

  /** The descriptor is writable: connected, or refused. */
  settle(fd: number): void {
    const dialling = this.#dialling
    if (dialling?.fd !== fd) return
    const errno = streams.socketError(this.#host.os.layout, fd)
    if (errno === 0) this.#connected(fd, dialling.peer)
    else this.#fail(fd, getSystemErrorName(-errno))
  }

  tick(now: number): void {
    if (this.#dialling === null || now - this.#dialling.since <= DIAL_TIMEOUT_MS) return
    this.#fail(this.#dialling.fd, 'no answer')
  }

  /** Gives up what is under way. Idempotent. */
  close(): void {
    if (this.#dialling !== null) this.#abandon(this.#dialling.fd)
    this.#dialling = null
  }

  #connected(fd: number, peer: string): void {
    this.#result.connected(fd, peer)
    this.#dialling = null
  }

  #fail(fd: number, error: string): void {
    this.#dialling = null
    this.#abandon(fd)
    this.#result.failed(error)
  }

  #abandon(fd: number): void {
    this.#host.unwatch(fd)
    closeSocket(fd)
  }
}
