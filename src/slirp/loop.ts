/**
 * What the slirp process does, turn by turn: wait until the data plane, the switch or one of the host's sockets has
 * something; give the stack what came from the guests; let it serve its sockets; write what it sends in one go.
 *
 * Node's event loop cannot watch libslirp's sockets, so the process sleeps in a poll(2) of its own and never returns to
 * that loop.
 */
import type { Admission } from './admission.js'
import type { SlirpLink } from './link.js'
import { POLLIN, POLLOUT, PollSet } from './poll-set.js'
import type { SlirpStack } from './stack.js'

/**
 * While the data plane does not keep up: how long to wait for it before libslirp's clock has to go on. Milliseconds.
 */
const CONGESTED_WAIT_MS = 50

export interface SlirpLoopParts {
  readonly stack: SlirpStack
  readonly link: SlirpLink
  readonly admission: Admission
  /** Milliseconds. */
  readonly clock: () => number
  /** Where commands come in, and what to do when some have. */
  readonly commands: { readonly fd: number; readonly run: () => void }
  /** The same for links to the data plane. */
  readonly links: { readonly fd: number; readonly run: () => void }
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
    const { stack, link, commands, links } = this.#parts
    const polls = this.#polls
    const isCongested = link.isCongested
    polls.clear()
    const commandsPlace = polls.add(commands.fd, POLLIN)
    const linksPlace = polls.add(links.fd, POLLIN)
    // A descriptor below zero is ignored by poll(2).
    const linkPlace = polls.add(link.fd, (isCongested ? 0 : POLLIN) | (link.pending > 0 ? POLLOUT : 0))
    const waitMs = isCongested ? CONGESTED_WAIT_MS : stack.fill(polls)
    const isValid = polls.wait(waitMs)
    if (polls.returned(commandsPlace) !== 0) {
      commands.run()
      if (!this.running) return
    }
    if (polls.returned(linksPlace) !== 0) links.run()
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
