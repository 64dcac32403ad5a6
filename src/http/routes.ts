/** The routes: each says what it takes and gives as schemas, and what it does in a few lines over the view. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { FdbEntryView, SwitchView } from '../control/view.js'
import { METRICS_MEDIA_TYPE, Metrics } from './metrics.js'
import { HttpProblem } from './problem.js'
import {
  fdbPageSchema,
  fdbQuery,
  noQuery,
  portListSchema,
  portParameters,
  portSchema,
  switchSchema,
  transportListSchema,
} from './schemas.js'
import type { ZodTypeProvider } from './zod-compiler.js'

export type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>

/** What machines watch: metrics and probes. Their queries are not looked at, as scrapers add what they like. */
export function probeRoutes(app: App, view: SwitchView): void {
  const metrics = new Metrics(view)

  app.get('/metrics', async (_request, reply) => reply.type(METRICS_MEDIA_TYPE).send(await metrics.scrape()))

  app.get('/healthz', (_request, reply) => {
    const trouble = view.trouble()
    if (trouble !== undefined) throw new HttpProblem(503, 'unhealthy', trouble)
    reply.type('text/plain; charset=utf-8').send('ok')
  })

  app.get('/readyz', (_request, reply) => {
    if (!view.ready()) throw new HttpProblem(503, 'not-ready', view.trouble() ?? 'The switch is still starting.')
    reply.type('text/plain; charset=utf-8').send('ok')
  })
}

export function apiRoutes(app: App, view: SwitchView): void {
  app.get('/v1/switch', { schema: { querystring: noQuery, response: { 200: switchSchema } } }, () => view.info())

  app.get('/v1/ports', { schema: { querystring: noQuery, response: { 200: portListSchema } } }, () => ({
    ports: view.ports(),
  }))

  app.get(
    '/v1/ports/:id',
    { schema: { params: portParameters, querystring: noQuery, response: { 200: portSchema } } },
    ({ params: { id } }) => {
      const port = view.port(id)
      if (port === undefined) throw new HttpProblem(404, 'no-such-port', `There is no port with id ${id}.`)
      return port
    },
  )

  app.get('/v1/transports', { schema: { querystring: noQuery, response: { 200: transportListSchema } } }, () => ({
    transports: view.transports(),
  }))

  app.get('/v1/fdb', { schema: { querystring: fdbQuery, response: { 200: fdbPageSchema } } }, ({ query }) => {
    const { port, mac, limit, offset } = query
    const found = view.fdb().filter(entry => (mac === undefined || entry.mac === mac) && isOn(entry, port))
    found.sort((a, b) => (a.mac < b.mac ? -1 : a.mac > b.mac ? 1 : 0))
    return { total: found.length, limit, offset, entries: found.slice(offset, offset + limit) }
  })
}

function isOn(entry: FdbEntryView, port: string | undefined): boolean {
  return port === undefined || entry.port === port || String(entry.portId) === port
}
