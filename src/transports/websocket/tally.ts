/**
 * Counts what is refused on this thread. The counters are the data plane's to write, so it is told, about once a
 * second.
 */
import type { EndpointDropReason } from '../../dataplane/shared-memory.js'
import type { SendToEndpoint } from '../transport.js'

export class Tally {
  readonly #counts = new Map<EndpointDropReason, number>()
  readonly #send: SendToEndpoint

  constructor(send: SendToEndpoint) {
    this.#send = send
  }

  count(reason: EndpointDropReason): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1)
  }

  /** Tells the data plane what was counted since. */
  report(): void {
    for (const [reason, count] of this.#counts) this.#send({ type: 'count', reason, count })
    this.#counts.clear()
  }
}
