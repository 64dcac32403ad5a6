/**
 * Which other switches this one is linked to by WebSocket, so that no two links make a loop.
 *
 * A frame is never sent back out of the port it came in by, so one link between two switches cannot loop. Two links
 * between the same two can, and so can a switch that dials itself: every broadcast would go round for ever. So there is
 * one link for each pair of switches; whoever comes second is refused, and told why. A loop through a third switch is
 * not seen here (there is no spanning tree); it shows as addresses that keep moving between ports.
 *
 * Two exceptions. The same dialling transport that comes again takes the place of its predecessor, which the other end
 * lost and we may not have missed yet. And when two switches dial each other at the same moment, each has the other's
 * call accepted before its own is answered; then the call of the lower instance stands, which both ends find by
 * themselves.
 *
 * Only a switch that has proven who it is (identity.ts) has a place here, so that no guest can take that of another.
 */
import type { Hello } from './hello.js'
import { Identity } from './identity.js'

export type LinkRole = 'served' | 'dialled'

export interface SwitchLink {
  /** After it ended. Idempotent. */
  release(): void
}

interface Entry {
  readonly hello: Hello
  readonly role: LinkRole
  /** Ends the connection; `why` is for people. */
  readonly end: (why: string) => void
  /** Milliseconds, on the clock of the constructor. */
  readonly since: number
}

export class SwitchLinks {
  readonly identity: Pick<Identity, 'instance' | 'prove'>
  readonly #byInstance = new Map<string, Entry>()
  readonly #now: () => number

  /** `now` in milliseconds, on any clock. */
  constructor(identity: Pick<Identity, 'instance' | 'prove'> = new Identity(), now = () => performance.now()) {
    this.identity = identity
    this.#now = now
  }

  /** Who we are. */
  get instance(): string {
    return this.identity.instance
  }

  /**
   * Asks for the one place there is for links to this switch. Returns why it is refused, or the link. `end` is called,
   * before this returns or later, when the link has to make way for another. `dialledAt`: of a dialled link, when the
   * call was made.
   */
  claim(hello: Hello, role: LinkRole, end: (why: string) => void, dialledAt = 0): SwitchLink | string {
    const { instance } = hello
    if (instance === this.instance) return 'it is this switch itself'
    const before = this.#byInstance.get(instance)
    if (before !== undefined && !this.#makesWay(before, hello, role, dialledAt)) {
      return `there is a link to "${hello.name}" already, and a second one would be a loop`
    }
    const entry: Entry = { hello, role, end, since: this.#now() }
    this.#byInstance.set(instance, entry)
    before?.end('another connection to the same switch took its place')
    return {
      release: () => {
        if (this.#byInstance.get(instance) === entry) this.#byInstance.delete(instance)
      },
    }
  }

  #makesWay(before: Entry, { instance, link }: Hello, role: LinkRole, dialledAt: number): boolean {
    if (before.role === role) return role === 'served' && link !== '' && before.hello.link === link
    // The other end has looked at this too: it sends no proof for a call that it made while it had a link.
    const cross = role === 'served' || dialledAt <= before.since
    if (!cross) return false
    const caller = role === 'dialled' ? this.instance : instance
    const called = role === 'dialled' ? instance : this.instance
    return caller < called
  }
}
