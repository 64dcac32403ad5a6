/** What machines watch: metrics and probes. Their queries are not looked at, as scrapers add what they like. */
import type { SwitchView } from '../../control/view.js'
import { METRICS_MEDIA_TYPE, Metrics } from '../metrics.js'
import { HttpProblem } from '../problem.js'
import type { App } from './app.js'

const PLAIN = 'text/plain; charset=utf-8'

export function probeRoutes(app: App, view: SwitchView): void {
  const metrics = new Metrics(view)

  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        tags: ['probes'],
        summary: 'Metrics for Prometheus',
        description: 'In the text format 0.0.4; docs/metrics.md explains each.',
        produces: 'text/plain',
      },
    },
    async (_request, reply) => reply.type(METRICS_MEDIA_TYPE).send(await metrics.scrape()),
  )

  app.get(
    '/healthz',
    {
      config: { access: 'open' },
      schema: {
        operationId: 'getHealth',
        tags: ['probes'],
        summary: 'Whether all is well',
        description: 'Answers `ok`. Needs no token.',
        produces: 'text/plain',
        problems: { 503: '`unhealthy`: what is wrong.' },
      },
    },
    (_request, reply) => {
      const trouble = view.trouble()
      if (trouble !== undefined) throw new HttpProblem(503, 'unhealthy', trouble)
      reply.type(PLAIN).send('ok')
    },
  )

  app.get(
    '/readyz',
    {
      config: { access: 'open' },
      schema: {
        operationId: 'getReadiness',
        tags: ['probes'],
        summary: 'Whether every transport is open and frames move',
        description:
          'Answers `ok`; or, still with 200, `degraded` and a line for each transport and interface that has failed while others serve. Needs no token.',
        produces: 'text/plain',
        problems: { 503: '`not-ready`: what is missing, or that every transport has failed.' },
      },
    },
    (_request, reply) => {
      const failed = [...view.interfaces(), ...view.transports()].filter(({ state }) => state === 'failed')
      const lines = failed.map(({ name, reason }) => `${name}: ${reason}`)
      if (!view.ready()) {
        const trouble = view.trouble() ?? lines[0]
        throw new HttpProblem(503, 'not-ready', trouble ?? 'The switch is still starting.')
      }
      // A switch whose other ports serve must not be taken out of service for one of them.
      reply.type(PLAIN).send(lines.length === 0 ? 'ok' : ['degraded', ...lines].join('\n'))
    },
  )
}
