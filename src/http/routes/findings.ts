/** What is wrong now. */
import type { SwitchView } from '../../control/view.js'
import { noQuery } from '../requests.js'
import { findingListSchema } from '../schemas.js'
import type { App } from './app.js'

export function findingRoutes(app: App, view: SwitchView): void {
  app.get(
    '/v1/findings',
    {
      schema: {
        operationId: 'listFindings',
        tags: ['state'],
        summary: 'What is wrong now',
        description:
          'Once for each cause, errors first, then the oldest first; an empty list when all is well. docs/operations.md lists the codes. ' +
          'The events `finding-raised` and `finding-cleared` tell of changes.',
        querystring: noQuery,
        response: { 200: findingListSchema },
      },
    },
    () => view.findings(),
  )
}
