/** The API as this page uses it: the fields it shows, and the stream of events. */
import { followEvents } from './event-feed.js'
import { forgetSession, sessionHeaders, showRole } from './session.js'
import { isOfType, noAnswer, wordsOf } from './trouble.js'

export interface Port {
  id: number
  name: string
  transport: string
  kind: string
  peer: string | null
  up: boolean
  counters: {
    receiveFrames: number
    receiveBytes: number
    receiveDrops: Record<string, number>
    transmitFrames: number
    transmitBytes: number
    transmitDrops: Record<string, number>
    queueFrames: number
    fdbEntries: number
  }
}

export interface Switch {
  name: string
  version: string
  startedAt: string
  fdb: { entries: number; capacity: number }
  dataplane: { restarts: number; alive: boolean }
}

export interface Finding {
  severity: string
  subject: { kind: string; name: string }
  message: string
}

export interface FdbEntry {
  mac: string
  port: string
  static: boolean
  ageSeconds: number | null
}

export interface SwitchEvent {
  type: string
  data: Record<string, unknown>
}

/** Milliseconds that a look may take; the switch answers in a few. */
const PATIENCE_MS = 10_000

/** The answer; rejects with words for people. Where the switch asks for a token, the browser has asked its user. */
export async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  const request = fetch(path, { ...options, headers: sessionHeaders(), cache: 'no-store' })
  const response = await request.catch(() => Promise.reject(new Error(noAnswer)))
  if (response.ok) return response
  if (response.status === 401 && forgetSession()) {
    void showRole('The session of this page has ended. ')
    return ask(path, options)
  }
  throw new Error(await wordsOf(response, location.host))
}

export async function askJson<Answer>(path: string): Promise<Answer> {
  const response = await ask(path, { signal: AbortSignal.timeout(PATIENCE_MS) })
  if (!isOfType(response, 'application/json')) throw new Error(await wordsOf(response, location.host))
  return response.json() as Promise<Answer>
}

/** Every type of event the switch sends. A test compares them with the switch's. */
export const eventTypes = [
  ...['port-up', 'port-down', 'port-added', 'port-removed', 'port-changed', 'events-suppressed'],
  ...['mac-learned', 'mac-moved', 'mac-flapping', 'limit-reached', 'fdb-changed'],
  ...['transport-added', 'transport-removed', 'transport-changed'],
  ...['transport-failed', 'transport-recovered', 'interface-failed', 'interface-recovered'],
  ...['interface-added', 'interface-removed', 'interface-changed'],
  ...['finding-raised', 'finding-cleared', 'report', 'switch-changed', 'dataplane-restarted'],
]

/**
 * Calls back for each event, for ever; after a break the browser asks for those it missed. `onTrouble`: why none come,
 * or empty.
 */
export function follow(onEvent: (event: SwitchEvent) => void, onTrouble: (words: string) => void): void {
  followEvents({ types: eventTypes, onEvent: (type, data) => onEvent({ type, data: JSON.parse(data) }), onTrouble })
}
