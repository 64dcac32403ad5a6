/**
 * Every descriptor the data plane waits on, and why: to read frames, to send what is queued, or both. The poller is
 * told of a change only when the sum of the reasons changes.
 *
 * A poller's report is handled after others of the same turn, which may have closed the descriptor and opened another
 * of the same number. So a token names a place in the table and, in the bits above, how often that place was taken: an
 * old report finds nothing.
 */
import { type Poller, READABLE, WRITABLE } from '../os/poller.js'
import type { Endpoint } from './endpoint.js'

/** Bits of a token that are the place in the table; the others, but for the sign, count how often it was taken. */
const PLACE_BITS = 20
const PLACE_MASK = 2 ** PLACE_BITS - 1
const TAKEN_MASK = 2 ** (31 - PLACE_BITS) - 1

export interface Descriptor {
  readonly fd: number
  readonly token: number
  /** Reads it, or is told when it is connected. */
  endpoint: Endpoint
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
  readonly #places: (Descriptor | null)[] = []
  readonly #byFd = new Map<number, Descriptor>()
  /** The next tokens of places that are free. */
  readonly #freeTokens: number[] = []

  constructor(poller: Poller) {
    this.#poller = poller
  }

  /** The descriptor a poller's token stands for; null when it was let go in this very turn, whatever took its place. */
  byToken(token: number): Descriptor | null {
    const descriptor = this.#places[token & PLACE_MASK] ?? null
    return descriptor !== null && descriptor.token === token ? descriptor : null
  }

  /** Undefined when it is not watched. */
  byFd(fd: number): Descriptor | undefined {
    return this.#byFd.get(fd)
  }

  watch(fd: number, endpoint: Endpoint): void {
    const descriptor = this.#claim(fd, endpoint)
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
    const descriptor = this.#claim(fd, endpoint)
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

  /**
   * No descriptor is read or being connected for this endpoint any more. Other endpoints may still wait to send on one.
   */
  drop(endpoint: Endpoint): void {
    for (const descriptor of this.#byFd.values()) if (descriptor.endpoint === endpoint) this.#letGo(descriptor)
  }

  #letGo(descriptor: Descriptor): void {
    descriptor.reading = false
    descriptor.connecting = false
    try {
      this.#update(descriptor)
    } catch {
      // It was closed while it was watched: the kernel has forgotten it already.
      this.#free(descriptor)
    }
  }

  /** The descriptor, with this endpoint to be called for it. */
  #claim(fd: number, endpoint: Endpoint): Descriptor {
    const known = this.#byFd.get(fd)
    if (known !== undefined && known.endpoint !== endpoint) {
      // Its endpoint closed it without a word, and the number is another's now; or others wait to send on it.
      if (known.reading || known.connecting) this.#letGo(known)
      known.endpoint = endpoint
    }
    return this.#obtain(fd, endpoint)
  }

  #obtain(fd: number, endpoint: Endpoint): Descriptor {
    const known = this.#byFd.get(fd)
    if (known !== undefined) return known
    const token = this.#freeTokens.pop() ?? this.#places.length
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
    this.#places[token & PLACE_MASK] = descriptor
    this.#byFd.set(fd, descriptor)
    return descriptor
  }

  #update(descriptor: Descriptor): void {
    const { fd, token, reading, paused, waiting } = descriptor
    const writing = descriptor.connecting || waiting.length > 0
    // Let go while it was paused; its place may be another's by now.
    if (this.#places[token & PLACE_MASK] !== descriptor) return
    const interest = (reading && !paused ? READABLE : 0) | (writing ? WRITABLE : 0)
    if (interest !== descriptor.interest) this.#poller.watch(fd, token, interest)
    descriptor.interest = interest
    if (!reading && !writing) this.#free(descriptor)
  }

  #free({ fd, token }: Descriptor): void {
    const place = token & PLACE_MASK
    this.#places[place] = null
    this.#byFd.delete(fd)
    this.#freeTokens.push(place | ((((token >>> PLACE_BITS) + 1) & TAKEN_MASK) << PLACE_BITS))
  }
}
