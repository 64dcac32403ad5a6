/**
 * Every descriptor the data plane waits on, and why: to read frames, to send what is queued, or both. The poller is told of
 * a change only when the sum of the reasons changes.
 */
import { type Poller, READABLE, WRITABLE } from '../os/poller.js'
import type { Endpoint } from './endpoint.js'

export interface Descriptor {
  readonly fd: number
  readonly token: number
  readonly endpoint: Endpoint
  /** Somebody wants what arrives here. */
  reading: boolean
  /** Reading is held back for the moment. */
  paused: boolean
  /** It is being connected; writable means done. */
  connecting: boolean
  /** Is looked at in the next turn, whether it is ready or not. */
  again: boolean
  /** Ports that have frames for this descriptor. */
  readonly waiting: number[]
  interest: number
  /** For back-pressure: the one port that everything went to since `soleSince`. */
  solePort: number
  soleSince: number
}

export class DescriptorTable {
  readonly #poller: Poller
  readonly #byToken: (Descriptor | null)[] = []
  readonly #byFd = new Map<number, Descriptor>()
  readonly #freeTokens: number[] = []

  constructor(poller: Poller) {
    this.#poller = poller
  }

  /** The descriptor a poller's token stands for; null when it was let go in this very turn. */
  byToken(token: number): Descriptor | null {
    return this.#byToken[token] ?? null
  }

  /** Undefined when it is not watched. */
  byFd(fd: number): Descriptor | undefined {
    return this.#byFd.get(fd)
  }

  watch(fd: number, endpoint: Endpoint): void {
    const descriptor = this.#obtain(fd, endpoint)
    descriptor.reading = true
    this.#update(descriptor)
  }

  unwatch(fd: number): void {
    const descriptor = this.#byFd.get(fd)
    if (descriptor === undefined) return
    descriptor.reading = false
    descriptor.connecting = false
    this.#update(descriptor)
  }

  awaitConnected(fd: number, endpoint: Endpoint): void {
    const descriptor = this.#obtain(fd, endpoint)
    descriptor.connecting = true
    this.#update(descriptor)
  }

  connected(descriptor: Descriptor): void {
    descriptor.connecting = false
    this.#update(descriptor)
  }

  pause(descriptor: Descriptor): void {
    descriptor.paused = true
    this.#update(descriptor)
  }

  unpause(descriptor: Descriptor): void {
    descriptor.paused = false
    this.#update(descriptor)
  }

  awaitWritable(fd: number, endpoint: Endpoint, port: number): void {
    const descriptor = this.#obtain(fd, endpoint)
    descriptor.waiting.push(port)
    this.#update(descriptor)
  }

  writableSettled(fd: number, port: number): void {
    const descriptor = this.#byFd.get(fd)
    const at = descriptor?.waiting.indexOf(port) ?? -1
    if (descriptor === undefined || at < 0) return
    descriptor.waiting.splice(at, 1)
    this.#update(descriptor)
  }

  #obtain(fd: number, endpoint: Endpoint): Descriptor {
    const known = this.#byFd.get(fd)
    if (known !== undefined) return known
    const token = this.#freeTokens.pop() ?? this.#byToken.length
    const descriptor: Descriptor = {
      fd,
      token,
      endpoint,
      reading: false,
      paused: false,
      connecting: false,
      again: false,
      waiting: [],
      interest: 0,
      solePort: -1,
      soleSince: 0,
    }
    this.#byToken[token] = descriptor
    this.#byFd.set(fd, descriptor)
    return descriptor
  }

  #update(descriptor: Descriptor): void {
    const { fd, token, reading, paused, waiting } = descriptor
    const writing = descriptor.connecting || waiting.length > 0
    // Let go while it was paused; its token may be another's by now.
    if (this.#byToken[token] !== descriptor) return
    const interest = (reading && !paused ? READABLE : 0) | (writing ? WRITABLE : 0)
    if (interest !== descriptor.interest) this.#poller.watch(fd, token, interest)
    descriptor.interest = interest
    if (reading || writing) return
    this.#byToken[token] = null
    this.#byFd.delete(fd)
    this.#freeTokens.push(token)
  }
}
