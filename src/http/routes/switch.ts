/** The switch as a whole, and its configuration file. */
import type { SwitchControl } from '../../control/switch-control.js'
import type { SwitchView } from '../../control/view.js'
import { noQuery, switchChange } from '../requests.js'
import { saveReportSchema, switchSchema } from '../schemas.js'
import type { App } from './app.js'

export function switchRoutes(app: App, view: SwitchView, control: SwitchControl): void {
  app.get(
    '/v1/switch',
    {
      schema: {
        operationId: 'getSwitch',
        tags: ['state'],
        summary: 'The switch as a whole',
        querystring: noQuery,
        response: { 200: switchSchema },
      },
    },
    () => view.info(),
  )

  app.patch(
    '/v1/switch',
    {
      schema: {
        operationId: 'changeSwitch',
        tags: ['state'],
        summary: 'Change settings of the switch',
        description: 'Ports that have just what the switch gives them (frame size, share of the FDB) go along with it.',
        querystring: noQuery,
        body: switchChange,
        response: { 200: switchSchema },
      },
    },
    async ({ body }) => {
      await control.changeSwitch(body)
      return view.info()
    },
  )

  app.post(
    '/v1/config/save',
    {
      schema: {
        operationId: 'saveConfiguration',
        tags: ['configuration'],
        summary: 'Write what was changed into the configuration file',
        description:
          'Transports and interfaces that were added or removed, their forwards, settings of the switch, and policy and static ' +
          'addresses of ports that are the only one of their transport. The rest of the file stays as it is, comments too.',
        querystring: noQuery,
        response: { 200: saveReportSchema },
        problems: {
          409: '`file-changed`: somebody else has written it since it was read. `not-saved`: it is written in a way that cannot be edited.',
        },
      },
    },
    () => control.save(),
  )
}
