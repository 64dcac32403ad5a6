/** The API as this page uses it: the fields it shows, and the stream of events. */
import { forgetSession, sessionHeaders, showRole } from './session.js'

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

/** The answer; rejects with the words of the problem. Where the switch asks for a token, the browser has asked its user. */
export async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  const response = await fetch(path, { ...options, headers: sessionHeaders(), cache: 'no-store' })
  if (response.ok) return response
  if (response.status === 401 && forgetSession()) {
    void showRole('The session of this page has ended. ')
    return ask(path, options)
  }
  const problem = (await response.json().catch(() => ({}))) as { detail?: string }
  throw new Error(problem.detail ?? `the switch answered with status ${response.status}`)
}

export async function askJson<Answer>(path: string): Promise<Answer> {
  return (await ask(path)).json() as Promise<Answer>
}

/** Every type of event the switch sends; an EventSource hears only of those it names. A test compares them with the switch's. */
export const eventTypes = [
  ...['port-up', 'port-down', 'port-added', 'port-removed', 'port-changed', 'events-suppressed'],
  ...['mac-learned', 'mac-moved', 'mac-flapping', 'limit-reached', 'fdb-changed'],
  ...['transport-added', 'transport-removed', 'transport-changed'],
  ...['transport-failed', 'transport-recovered', 'interface-failed', 'interface-recovered'],
  ...['interface-added', 'interface-removed', 'interface-changed'],
  ...['finding-raised', 'finding-cleared', 'report', 'switch-changed', 'dataplane-restarted'],
]

/** Calls back for each event, for ever; after a break the browser asks for those it missed. */
export function follow(onEvent: (event: SwitchEvent) => void): void {
  const source = new EventSource('v1/events')
  for (const type of eventTypes) {
    source.addEventListener(type, ({ data }: MessageEvent<string>) => onEvent({ type, data: JSON.parse(data) }))
  }
}
