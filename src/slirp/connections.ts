/**
 * Who holds the sockets that libslirp opens on the host, and who may open more.
 *
 * libslirp reports each socket when it opens and before it closes it. A socket that opens while libslirp is given a
 * frame belongs to the sender of the frame (its source MAC address); one that opens while a forward is added is a
 * listener; any other was accepted from a listener. So the accounts are exact, without a table of flows beside
 * libslirp's own.
 *
 * A guest may open another as long as it has fewer than four times what is free (dynamic thresholds, Choudhury and
 * Hahne 1998). One guest gets four fifths of `maxConnections`, two get four ninths each, and something is always left
 * for one that has none. What comes in through forwards is not the guests' doing and has a limit of its own, equally
 * high: at it, listeners are not polled, and further connections wait in the kernel's backlog.
 *
 * A UDP socket of libslirp belongs to a sender's address and port, not to a flow, so at its limit a guest still uses
 * those it has. libslirp before 4.6 reports sockets of TCP only; nothing else is limited there.
 */
const FREE_TIMES = 4

/** No guest: what opens does so by itself. */
const NONE = -1

export class Connections {
  readonly #limit: number
  /** Sockets of guests by descriptor, with the guest (a MAC address as a number) and what `flow` was. */
  readonly #owners = new Map<number, { readonly guest: number; readonly flow: number }>()
  readonly #held = new Map<number, number>()
  readonly #flows = new Map<number, number>()
  readonly #listeners = new Map<number, 'tcp-listener' | 'udp-listener'>()
  readonly #accepted = new Set<number>()
  #guest = NONE
  #flow = 0
  #listening: 'tcp-listener' | 'udp-listener' | null = null
  readonly #changed: (held: number, forwarded: number) => void

  /** `changed` hears how many sockets guests and forwards hold. */
  constructor(limit: number, changed: (held: number, forwarded: number) => void = () => {}) {
    this.#limit = limit
    this.#changed = changed
  }

  /** Sockets that guests hold. */
  get held(): number {
    return this.#owners.size
  }

  /** Sockets of connections that came through forwards. */
  get forwarded(): number {
    return this.#accepted.size
  }

  heldBy(guest: number): number {
    return this.#held.get(guest) ?? 0
  }

  /** Whether this guest may open another socket, or has the one that this flow uses; 0: the flow is always new. */
  mayOpen(guest: number, flow: number): boolean {
    const free = this.#limit - this.#owners.size
    if (this.heldBy(guest) < FREE_TIMES * free) return true
    return flow !== 0 && this.#flows.has(flow)
  }

  /** Until `end`, sockets that open are this guest's. */
  begin(guest: number, flow: number): void {
    this.#guest = guest
    this.#flow = flow
  }

  end(): void {
    this.#guest = NONE
  }

  /** Runs `listen`; sockets that open meanwhile are listeners. */
  listening<Result>(protocol: 'tcp' | 'udp', listen: () => Result): Result {
    this.#listening = `${protocol}-listener`
    try {
      return listen()
    } finally {
      this.#listening = null
    }
  }

  /** Whether this descriptor should not be polled now: a listener, while forwards have all they may have. */
  isPaused(fd: number): boolean {
    return this.#accepted.size >= this.#limit && this.#listeners.get(fd) === 'tcp-listener'
  }

  opened(fd: number): void {
    if (fd < 0) return
    this.closed(fd)
    if (this.#listening !== null) {
      this.#listeners.set(fd, this.#listening)
      return
    }
    if (this.#guest === NONE) this.#accepted.add(fd)
    else this.#own(fd, this.#guest, this.#flow)
    this.#changed(this.held, this.forwarded)
  }

  closed(fd: number): void {
    if (this.#listeners.delete(fd)) return
    if (!this.#accepted.delete(fd) && !this.#disown(fd)) return
    this.#changed(this.held, this.forwarded)
  }

  #own(fd: number, guest: number, flow: number): void {
    this.#owners.set(fd, { guest, flow })
    this.#held.set(guest, this.heldBy(guest) + 1)
    if (flow !== 0) this.#flows.set(flow, (this.#flows.get(flow) ?? 0) + 1)
  }

  #disown(fd: number): boolean {
    const owner = this.#owners.get(fd)
    if (owner === undefined) return false
    this.#owners.delete(fd)
    less(this.#held, owner.guest)
    if (owner.flow !== 0) less(this.#flows, owner.flow)
    return true
  }
}

function less(counts: Map<number, number>, key: number): void {
  const count = (counts.get(key) ?? 1) - 1
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}
