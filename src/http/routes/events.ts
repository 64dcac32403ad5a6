/**
 * What happens, as server-sent events. Each reader has a place in the numbered stream of the bus and is written to
 * while it takes more; nothing is kept for it. One that does not read for a while, or that the ring has overtaken, is
 * disconnected: it comes back with the id of the last event it saw, and goes on there, told how many it missed.
 */
import type { ServerResponse } from 'node:http'
import type { EventFeed, NumberedEvent, SwitchEventType } from '../../control/event-bus.js'
import { securityHeaders } from '../guard.js'
import { HttpProblem } from '../problem.js'
import { eventQuery } from '../requests.js'
import type { App } from './app.js'

const MAX_READERS = 128
/** Milliseconds between two signs of life, well within the idle limits of proxies and of this server. */
const HEARTBEAT_MS = 15_000
/** Milliseconds a reader may leave what it was sent unread. */
const PATIENCE_MS = 10_000
/** Events written in one go. */
const CHUNK = 256

/** Those that may be left out when there are too many. */
const portEvents = ['port-added', 'port-up', 'port-down', 'port-removed'] as const

export interface EventReaders {
  /** Ends all of them. */
  close(): void
}

export function eventRoutes(app: App, feed: EventFeed): EventReaders {
  const readers = new Set<Reader>()

  app.get(
    '/v1/events',
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'streamEvents',
        tags: ['events'],
        summary: 'What happens, as it happens',
        description:
          'Server-sent events: `id`, `event` (the type) and `data` (JSON: `type`, `at` and what the type has). A reader that comes back with ' +
          '`Last-Event-ID` goes on after that event; where some are gone by then, an event `missed` comes first, with their number, ' +
          'or null when the switch was restarted. Readers that are too slow are disconnected.',
        querystring: eventQuery,
        produces: 'text/event-stream',
        problems: { 503: `\`too-many-readers\`: ${MAX_READERS} are reading already.` },
      },
    },
    (request, reply) => {
      if (readers.size >= MAX_READERS) {
        throw new HttpProblem(503, 'too-many-readers', `${MAX_READERS} clients read events already.`)
      }
      const { type, tail } = request.query
      const lastEventId = request.headers['last-event-id']
      reply.hijack()
      const reader = new Reader(reply.raw, feed, type === undefined ? null : new Set(type))
      readers.add(reader)
      reply.raw.once('close', () => {
        readers.delete(reader)
        reader.close()
      })
      reader.begin(typeof lastEventId === 'string' ? lastEventId : undefined, tail)
    },
  )

  return {
    close: () => {
      for (const reader of readers) reader.end()
    },
  }
}

class Reader {
  readonly #response: ServerResponse
  readonly #feed: EventFeed
  readonly #types: ReadonlySet<SwitchEventType> | null
  readonly #unsubscribe: () => void
  readonly #heartbeat: NodeJS.Timeout
  #patience: NodeJS.Timeout | undefined
  #at = 0

  constructor(response: ServerResponse, feed: EventFeed, types: ReadonlySet<SwitchEventType> | null) {
    this.#response = response
    this.#feed = feed
    this.#types = types
    this.#unsubscribe = feed.subscribe(() => this.#flush())
    this.#heartbeat = setInterval(() => this.#write(': \n\n'), HEARTBEAT_MS)
    response.on('drain', () => {
      clearTimeout(this.#patience)
      this.#patience = undefined
      this.#flush()
    })
  }

  begin(lastEventId: string | undefined, tail: number): void {
    this.#response.writeHead(200, {
      ...securityHeaders,
      'content-type': 'text/event-stream; charset=utf-8',
      // nginx would collect them.
      'x-accel-buffering': 'no',
    })
    const from =
      lastEventId === undefined ? { at: Math.max(0, this.#feed.last - tail), missed: 0 } : this.#resume(lastEventId)
    this.#at = from.at
    this.#write('retry: 2000\n\n')
    if (from.missed !== 0) this.#write(`event: missed\ndata: ${JSON.stringify({ missed: from.missed })}\n\n`)
    this.#flush()
  }

  end(): void {
    this.#response.end()
  }

  close(): void {
    this.#unsubscribe()
    clearInterval(this.#heartbeat)
    clearTimeout(this.#patience)
  }

  /** Where to go on, and how many are gone; null when that cannot be told. */
  #resume(lastEventId: string): { at: number; missed: number | null } {
    const [run, number] = lastEventId.split('.')
    const seen = /^\d{1,15}$/.test(number ?? '') ? Number(number) : Number.NaN
    if (run !== this.#feed.run || !(seen <= this.#feed.last)) return { at: this.#feed.last, missed: null }
    const { missed } = this.#feed.after(seen, 0)
    return { at: seen + missed, missed }
  }

  #flush(): void {
    while (this.#patience === undefined && !this.#response.destroyed && this.#at < this.#feed.last) {
      const { missed, events } = this.#feed.after(this.#at, CHUNK)
      if (missed > 0) {
        this.#response.destroy()
        return
      }
      this.#at += events.length
      const wanted = events.filter(({ event }) => this.#wants(event.type))
      if (wanted.length > 0) this.#write(wanted.map(each => this.#text(each)).join(''))
    }
  }

  /** Who wants to hear of ports also has to know when something was left out. */
  #wants(type: SwitchEventType): boolean {
    if (this.#types === null || this.#types.has(type)) return true
    return type === 'events-suppressed' && portEvents.some(each => this.#types?.has(each))
  }

  #text({ number, at, event: { type, ...fields } }: NumberedEvent): string {
    const data = JSON.stringify({ type, at: new Date(at).toISOString(), ...fields })
    return `id: ${this.#feed.run}.${number}\nevent: ${type}\ndata: ${data}\n\n`
  }

  #write(text: string): void {
    if (this.#response.destroyed || this.#response.writableEnded || this.#response.write(text)) return
    this.#patience ??= setTimeout(() => this.#response.destroy(), PATIENCE_MS)
  }
}
