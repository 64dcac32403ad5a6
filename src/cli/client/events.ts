/**
 * `tapswitch events`: what happens, as it happens. When the switch ends the connection it is asked again, from the
 * event after the last one that was seen, so that a restart of this connection loses nothing the switch still
 * remembers.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { Output } from '../output.js'
import type { ApiClient } from './api-client.js'
import { printable } from './table.js'

export interface EventsOptions {
  readonly json: boolean
  /** Kinds to show, separated by commas; all when missing. */
  readonly type?: string
}

/** Milliseconds before the switch is asked again. */
const RETRY_MS = 1000

/** Runs until the signal; rejects when the switch cannot be reached the first time, or is gone. */
export async function showEvents(
  api: ApiClient,
  { json, type }: EventsOptions,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  let lastId: string | undefined
  const parser = createParser({
    onEvent: event => {
      lastId = event.id ?? lastId
      output.out(json ? event.data : eventLine(event))
    },
  })
  const path = type === undefined ? '/v1/events' : `/v1/events?${new URLSearchParams({ type })}`
  while (!signal.aborted) {
    const response = await api.stream(path, lastId === undefined ? {} : { 'last-event-id': lastId })
    // It may have been told to stop before the switch answered.
    if (signal.aborted) response.destroy()
    else signal.addEventListener('abort', () => response.destroy(), { once: true })
    response.setEncoding('utf8')
    try {
      for await (const chunk of response as AsyncIterable<string>) parser.feed(chunk)
    } catch (error) {
      if (!signal.aborted) output.err(`the connection broke: ${(error as Error).message}`)
    }
    parser.reset()
    await delay(RETRY_MS, undefined, { signal }).catch(() => {})
  }
}

/** `12:34:56.789  port-up  port=vms:1 peer=/tmp/vm1.sock`. */
export function eventLine({ event, data }: EventSourceMessage): string {
  const { at, type, id: _id, ...fields } = record(data)
  const time = typeof at === 'string' ? (/T([\d:.]+)Z?$/.exec(at)?.[1] ?? at) : ''
  const words = Object.entries(fields)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`)
  return printable(`${time}  ${String(event ?? type).padEnd(16)}  ${words.join(' ')}`.trim())
}

function record(data: string): Record<string, unknown> {
  try {
    const value = JSON.parse(data)
    return typeof value === 'object' && value !== null ? value : { value }
  } catch {
    return { data }
  }
}
