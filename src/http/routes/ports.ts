/** Ports: read, rename, give a policy, switch off and on, disconnect. */
import type { SwitchControl } from '../../control/switch-control.js'
import type { PortView, SwitchView } from '../../control/view.js'
import { HttpProblem } from '../problem.js'
import { noQuery, portChange, portParameters } from '../requests.js'
import { portListSchema, portSchema } from '../schemas.js'
import type { App } from './app.js'

const noSuchPort = '`no-such-port`: there is no port with this id.'

export function portRoutes(app: App, view: SwitchView, control: SwitchControl): void {
  const portOf = (id: number): PortView => {
    const port = view.port(id)
    if (port === undefined) throw new HttpProblem(404, 'no-such-port', `There is no port with id ${id}.`)
    return port
  }

  app.get(
    '/v1/ports',
    {
      schema: {
        operationId: 'listPorts',
        tags: ['ports'],
        summary: 'Every port',
        querystring: noQuery,
        response: { 200: portListSchema },
      },
    },
    () => ({ ports: view.ports() }),
  )

  app.get(
    '/v1/ports/:id',
    {
      schema: {
        operationId: 'getPort',
        tags: ['ports'],
        summary: 'One port',
        params: portParameters,
        querystring: noQuery,
        response: { 200: portSchema },
        problems: { 404: noSuchPort },
      },
    },
    ({ params: { id } }) => portOf(id),
  )

  app.patch(
    '/v1/ports/:id',
    {
      schema: {
        operationId: 'changePort',
        tags: ['ports'],
        summary: 'Rename a port, switch it off or on, give it a policy of its own',
        description:
          'What is set here holds for this port while it exists, over what its transport says, also when the configuration is reloaded.',
        params: portParameters,
        querystring: noQuery,
        body: portChange,
        response: { 200: portSchema },
        problems: { 404: noSuchPort, 409: '`name-taken`: another port, a transport or an interface has this name.' },
      },
    },
    async ({ params: { id }, body }) => {
      await control.changePort(id, body)
      return portOf(id)
    },
  )

  app.delete(
    '/v1/ports/:id',
    {
      schema: {
        operationId: 'disconnectPort',
        tags: ['ports'],
        summary: 'Disconnect who is at the other end',
        description: 'Who was disconnected may come back; `enabled: false` keeps a port from forwarding.',
        params: portParameters,
        querystring: noQuery,
        response: {},
        problems: {
          404: noSuchPort,
          409: '`not-connected`: nobody is there. `cannot-disconnect`: the other end is this host.',
        },
      },
    },
    async ({ params: { id } }, reply) => {
      await control.disconnectPort(id)
      reply.code(204).send()
    },
  )
}
