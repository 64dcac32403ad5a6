/**
 * What happens on the switch, for everybody who wants to know: numbered, typed, kept for a while.
 *
 * A listener is called at once and must not take long; a reader that is slow, such as an HTTP client, keeps its
 * place by number instead and reads on when it can. The ring is bounded, so a reader that falls behind by more than it
 * holds is told how much it missed. An event's id names the run as well as the number: after a restart of the program
 * an old id is known to be one.
 */
import type { FindingCode, FindingDetail, Severity } from '../finding-codes.js'
import type { Facts } from '../transports/transport.js'

export type SwitchEvent =
  | { readonly type: 'port-up'; readonly port: string; readonly portId: number; readonly peer: string | null }
  | { readonly type: 'port-down'; readonly port: string; readonly portId: number }
  | { readonly type: 'port-added'; readonly port: string; readonly portId: number; readonly transport: string }
  | { readonly type: 'port-removed'; readonly port: string; readonly portId: number }
  | { readonly type: 'port-changed'; readonly port: string; readonly portId: number }
  /** Events about ports of this transport or interface that were left out; their state has to be asked for. */
  | { readonly type: 'events-suppressed'; readonly transport: string; readonly count: number }
  | { readonly type: 'mac-learned'; readonly mac: string; readonly port: string }
  | { readonly type: 'mac-moved'; readonly mac: string; readonly from: string; readonly to: string }
  | { readonly type: 'mac-flapping'; readonly mac: string; readonly port: string }
  | { readonly type: 'limit-reached'; readonly port: string | null }
  | { readonly type: 'fdb-changed'; readonly mac: string | null; readonly port: string | null }
  | { readonly type: 'transport-added' | 'transport-removed' | 'transport-changed'; readonly transport: string }
  /** It failed and was detached; its ports are down. `retryMs`: until it is tried again. */
  | {
      readonly type: 'transport-failed'
      readonly transport: string
      readonly reason: string
      readonly retryMs: number
    }
  | {
      readonly type: 'interface-failed'
      readonly interface: string
      readonly reason: string
      readonly retryMs: number
    }
  /** It failed, and has served for a while since. */
  | { readonly type: 'transport-recovered'; readonly transport: string }
  | { readonly type: 'interface-recovered'; readonly interface: string }
  | { readonly type: 'interface-added' | 'interface-removed' | 'interface-changed'; readonly interface: string }
  /** Something a transport or interface reports of itself: `event` is its own name for it, e.g. `connected`. */
  | {
      readonly type: 'report'
      readonly source: string
      readonly event: string
      readonly level: 'info' | 'warn' | 'error'
      readonly message: string
      readonly details: Facts
    }
  | {
      readonly type: 'finding-raised'
      readonly code: FindingCode
      readonly severity: Severity
      readonly subject: { readonly kind: 'switch' | 'transport' | 'interface' | 'port'; readonly name: string }
      readonly message: string
      readonly detail: FindingDetail
    }
  | {
      readonly type: 'finding-cleared'
      readonly code: FindingCode
      readonly subject: { readonly kind: 'switch' | 'transport' | 'interface' | 'port'; readonly name: string }
    }
  | { readonly type: 'switch-changed' }
  | { readonly type: 'dataplane-restarted'; readonly restarts: number }

export type SwitchEventType = SwitchEvent['type']

export const switchEventTypes = [
  ...(['port-up', 'port-down', 'port-added', 'port-removed', 'port-changed', 'events-suppressed'] as const),
  ...(['mac-learned', 'mac-moved', 'mac-flapping', 'limit-reached', 'fdb-changed'] as const),
  ...(['transport-added', 'transport-removed', 'transport-changed'] as const),
  ...(['transport-failed', 'transport-recovered', 'interface-failed', 'interface-recovered'] as const),
  ...(['interface-added', 'interface-removed', 'interface-changed'] as const),
  ...(['finding-raised', 'finding-cleared', 'report', 'switch-changed', 'dataplane-restarted'] as const),
] as const satisfies readonly SwitchEventType[]

export interface NumberedEvent {
  /** Counts from 1 in a run, without gaps. */
  readonly number: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly event: SwitchEvent
}

/** Events that are kept: a boot of a hundred VMs, with all their addresses, several times over. */
const KEPT = 4096

export interface EventFeed {
  /** The number of the last event; 0 before the first. */
  readonly last: number
  /** Names this run. */
  readonly run: string
  /**
   * Kept events after `number`, oldest first, at most `limit`. `missed` counts those after it that are kept no longer.
   */
  after(number: number, limit: number): { readonly missed: number; readonly events: readonly NumberedEvent[] }
  /** Calls `listener` after each event. Returns what ends that. */
  subscribe(listener: () => void): () => void
}

export class EventBus implements EventFeed {
  readonly run = Date.now().toString(36)
  readonly #ring: (NumberedEvent | undefined)[]
  readonly #listeners = new Set<() => void>()
  #last = 0

  constructor(kept = KEPT) {
    this.#ring = new Array(kept).fill(undefined)
  }

  get last(): number {
    return this.#last
  }

  emit(event: SwitchEvent): void {
    const number = ++this.#last
    this.#ring[number % this.#ring.length] = { number, at: Date.now(), event }
    for (const listener of this.#listeners) listener()
  }

  after(number: number, limit: number): { missed: number; events: NumberedEvent[] } {
    const oldest = Math.max(1, this.#last - this.#ring.length + 1)
    const first = Math.max(number + 1, oldest)
    const events: NumberedEvent[] = []
    for (let next = first; next <= this.#last && events.length < limit; next++) {
      events.push(this.#ring[next % this.#ring.length] as NumberedEvent)
    }
    return { missed: first - (number + 1), events }
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
