/**
 * Events on their way to the main thread, bounded however busy that one is.
 *
 * A MessagePort keeps what is not read yet, without a limit, and guests that connect and go as fast as they can make
 * events of ports at any rate. The main thread counts in shared memory what it has taken. While more than `MAX_UNREAD`
 * events are under way, events of ports wait here, and are merged: for each index at most the removal of the port that
 * the main thread knows, the port that is there now, and its last state. A port that came and went meanwhile is never
 * heard of. So the main thread's records are exact whenever this is empty.
 *
 * What waits goes first when anything else is said about the same port, and all of it before an answer to a command,
 * because the main thread takes an answer to mean that the events before it have arrived. The same holds for an
 * endpoint that opened or failed: the next one is made from what the main thread knows of its ports. Other kinds of
 * events are bounded where they are made.
 */
import type { Event } from './messages.js'

/** Arbitrary: every port of a default switch comes up at once without a merge; about a megabyte. */
const MAX_UNREAD = 2048

type PortEvent = Extract<Event, { type: 'port-added' | 'port-up' | 'port-down' | 'port-restore' | 'port-removed' }>

interface Waiting {
  removed: PortEvent | null
  added: PortEvent | null
  state: PortEvent | null
  restore: PortEvent | null
}

export interface OutboxParts {
  readonly post: (event: Event) => void
  /** Events that the main thread has taken since this thread began. */
  readonly taken: () => number
  /** Events of ports that were merged away. */
  readonly countMerged: (events: number) => void
}

export class Outbox {
  readonly #parts: OutboxParts
  /** By index. */
  readonly #waiting = new Map<number, Waiting>()
  #posted = 0

  constructor(parts: OutboxParts) {
    this.#parts = parts
  }

  send(event: Event): void {
    switch (event.type) {
      case 'port-added':
      case 'port-up':
      case 'port-down':
      case 'port-restore':
      case 'port-removed':
        if (this.#waiting.size === 0 && this.#posted - this.#parts.taken() < MAX_UNREAD) break
        this.#merge(event)
        return
      case 'finding':
        if (typeof event.subject === 'number') this.#flushPort(event.subject)
        break
      case 'mac-moved':
      case 'mac-flapping':
        this.#flushPort(event.from)
        this.#flushPort(event.type === 'mac-moved' ? event.to : event.port)
        break
      case 'mac-learned':
      case 'frame':
        this.#flushPort(event.port)
        break
      case 'limit-reached':
        if (event.port !== null) this.#flushPort(event.port)
        break
      case 'port-suspended':
      case 'port-resumed':
        this.#flushPort(event.index)
        break
      case 'endpoint-opened':
      case 'endpoint-failed':
      case 'reply':
        this.flushAll()
    }
    this.#post(event)
  }

  /** Sends as much of what waits as there is room for; about ten times a second. */
  flush(): void {
    for (const index of this.#waiting.keys()) {
      if (this.#posted - this.#parts.taken() >= MAX_UNREAD) return
      this.#flushPort(index)
    }
  }

  /** Whatever waits, e.g. because this thread ends. */
  flushAll(): void {
    for (const index of this.#waiting.keys()) this.#flushPort(index)
  }

  #merge(event: PortEvent): void {
    const { index } = event
    const waiting = this.#waiting.get(index) ?? { removed: null, added: null, state: null, restore: null }
    this.#waiting.set(index, waiting)
    const before = eventsOf(waiting).length
    switch (event.type) {
      case 'port-added':
        waiting.added = event
        break
      case 'port-up':
      case 'port-down':
        waiting.state = event
        waiting.restore = null
        break
      case 'port-restore':
        waiting.restore = event
        break
      case 'port-removed':
        if (waiting.added === null) waiting.removed = event
        waiting.added = null
        waiting.state = null
        waiting.restore = null
    }
    const after = eventsOf(waiting).length
    if (after === 0) this.#waiting.delete(index)
    this.#parts.countMerged(before + 1 - after)
  }

  #flushPort(index: number): void {
    const waiting = this.#waiting.get(index)
    if (waiting === undefined) return
    this.#waiting.delete(index)
    for (const event of eventsOf(waiting)) this.#post(event)
  }

  #post(event: Event): void {
    this.#posted++
    this.#parts.post(event)
  }
}

function eventsOf({ removed, added, state, restore }: Waiting): PortEvent[] {
  return [removed, added, state, restore].filter(event => event !== null)
}
