/**
 * What the slirp thread does, turn by turn: wait until the data plane, the main thread or one of the host's sockets has something; give
 * the stack what came from the guests; let it serve its sockets; write what it sends in one go.
 *
 * libslirp's sockets cannot be watched by Node's event loop, and the data plane must not run foreign code that takes as long
 * as it likes; so this is a thread of its own with a poll(2) of its own.
 */
import { settle } from '../os/waker.js'
import type { Admission } from './admission.js'
import type { SlirpLink } from './link.js'
import { POLLIN, POLLOUT, PollSet } from './poll-set.js'
import type { SlirpStack } from './stack.js'

/** While the data plane does not keep up: how long to wait for it before libslirp's clock has to go on. Milliseconds. */
const CONGESTED_WAIT_MS = 50

export interface SlirpLoopParts {
  readonly stack: SlirpStack
  readonly link: SlirpLink
  readonly admission: Admission
  /** Milliseconds. */
  readonly clock: () => number
  /** Becomes readable when there are commands. */
  readonly wakeFd: number
  readonly runCommands: () => void
}

export class SlirpLoop {
  running = true
  readonly #parts: SlirpLoopParts
  readonly #polls = new PollSet()
  #now = 0

  constructor(parts: SlirpLoopParts) {
    this.#parts = parts
  }

  run(): void {
    while (this.running) this.turn()
  }

  turn(): void {
    const { stack, link, wakeFd } = this.#parts
    const polls = this.#polls
    const isCongested = link.isCongested
    polls.clear()
    const wakePlace = polls.add(wakeFd, POLLIN)
    // A descriptor below zero is ignored by poll(2).
    const linkPlace = polls.add(link.fd, (isCongested ? 0 : POLLIN) | (link.pending > 0 ? POLLOUT : 0))
    const waitMs = isCongested ? CONGESTED_WAIT_MS : stack.fill(polls)
    const isValid = polls.wait(waitMs)
    if (polls.returned(wakePlace) !== 0) {
      settle(wakeFd)
      this.#parts.runCommands()
      if (!this.running) return
    }
    // Anything but writable alone: data, end of file, an error; reading tells.
    if ((polls.returned(linkPlace) & ~POLLOUT) !== 0) {
      this.#now = this.#parts.clock()
      link.receive(this.#admit)
    }
    stack.dispatch(isValid && !isCongested)
    link.flush()
  }

  readonly #admit = (bytes: Uint8Array, offset: number, length: number, address: number): void => {
    this.#parts.admission.admit(bytes, offset, length, address, this.#now)
  }
}
