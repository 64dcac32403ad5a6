/** Transports (the guests' side) and interfaces (the host's): the same routes twice, under two names. */
import type { Side } from '../../config/change.js'
import { forwardForm } from '../../config/forwards.js'
import { interfaceForms } from '../../config/interfaces.js'
import { transportForms } from '../../config/transports.js'
import type { SwitchControl } from '../../control/switch-control.js'
import type { SwitchView, TransportView } from '../../control/view.js'
import { HttpProblem } from '../problem.js'
import { forwardKey, nameParameters, noQuery } from '../requests.js'
import {
  forwardListSchema,
  forwardSchema,
  interfaceListSchema,
  transportListSchema,
  transportSchema,
} from '../schemas.js'
import { z } from '../zod-compiler.js'
import type { App } from './app.js'

/** What the configuration may say; it is checked there, with all that depends on the rest of it. */
const forms = {
  transports: z
    .union([...transportForms])
    .meta({ id: 'NewTransport', example: { name: 'vm2', type: 'unixgram', listen: 'vm2.sock', peers: 'one' } }),
  interfaces: z.union([...interfaceForms]).meta({ id: 'NewInterface', example: { name: 'uplink', type: 'auto' } }),
}

const newForward = forwardForm.meta({
  id: 'NewForward',
  example: { protocol: 'tcp', host: '127.0.0.1:2222', guest: '10.0.2.15:22' },
})

export function attachmentRoutes(app: App, side: Side, view: SwitchView, control: SwitchControl): void {
  const [one, id] = side === 'transports' ? ['transport', 'Transport'] : ['interface', 'Interface']
  const missing = `\`no-such-${one}\`: there is no ${one} of this name.`
  const all = (): readonly TransportView[] => view[side]()
  const find = (name: string): TransportView => {
    const found = all().find(each => each.name === name)
    if (found === undefined) throw new HttpProblem(404, `no-such-${one}`, `There is no ${one} "${name}".`)
    return found
  }

  if (side === 'transports') {
    app.get('/v1/transports', { schema: { ...listing(side), response: { 200: transportListSchema } } }, () => ({
      transports: view.transports(),
    }))
  } else {
    app.get('/v1/interfaces', { schema: { ...listing(side), response: { 200: interfaceListSchema } } }, () => ({
      interfaces: view.interfaces(),
    }))
  }

  app.get(
    `/v1/${side}/:name`,
    {
      schema: {
        operationId: `get${id}`,
        tags: [side],
        summary: `One ${one}`,
        params: nameParameters,
        querystring: noQuery,
        response: { 200: transportSchema },
        problems: { 404: missing },
      },
    },
    ({ params: { name } }) => find(name),
  )

  app.post(
    `/v1/${side}`,
    {
      schema: {
        operationId: `add${id}`,
        tags: [side],
        summary: `Open ${one === 'interface' ? 'an' : 'a'} ${one}`,
        description: `In the form it has in the configuration file. It is gone after a restart, unless the configuration is saved.`,
        querystring: noQuery,
        body: z.record(z.string(), z.unknown()),
        documentedBody: forms[side],
        response: { 201: transportSchema },
        problems: { 409: '`not-possible`: this machine does not give it. `name-taken`: a port has this name.' },
      },
    },
    async ({ body }, reply) => {
      const name = await control.add(side, body)
      reply.code(201).header('location', `/v1/${side}/${name}`)
      return find(name)
    },
  )

  app.delete(
    `/v1/${side}/:name`,
    {
      schema: {
        operationId: `remove${id}`,
        tags: [side],
        summary: `Close ${one === 'interface' ? 'an' : 'a'} ${one} and all its ports`,
        params: nameParameters,
        querystring: noQuery,
        response: {},
        problems: { 404: missing },
      },
    },
    async ({ params: { name } }, reply) => {
      await control.remove(side, name)
      reply.code(204).send()
    },
  )

  forwardRoutes(app, side, { one, id, missing, control })
}

function listing(side: Side) {
  const [id, summary] = side === 'transports' ? ['Transports', 'Every transport'] : ['Interfaces', 'Every interface']
  return { operationId: `list${id}`, tags: [side], summary, querystring: noQuery }
}

interface ForwardRouteParts {
  readonly one: string | undefined
  readonly id: string | undefined
  readonly missing: string
  readonly control: SwitchControl
}

function forwardRoutes(app: App, side: Side, { one, id, missing, control }: ForwardRouteParts): void {
  const path = `/v1/${side}/:name/forwards`
  const common = { tags: [side], params: nameParameters }
  const none = '`no-forwards`: it has no port forwards.'

  app.get(
    path,
    {
      schema: {
        ...common,
        operationId: `list${id}Forwards`,
        summary: `Port forwards of ${one === 'interface' ? 'an' : 'a'} ${one}`,
        querystring: noQuery,
        response: { 200: forwardListSchema },
        problems: { 404: missing, 409: none },
      },
    },
    ({ params: { name } }) => ({ forwards: [...control.forwards(side, name)] }),
  )

  app.post(
    path,
    {
      schema: {
        ...common,
        operationId: `add${id}Forward`,
        summary: 'Forward a port of the host to a guest',
        querystring: noQuery,
        body: forwardForm,
        documentedBody: newForward,
        response: { 201: forwardSchema },
        problems: { 404: missing, 409: `${none} \`not-possible\`: the port of the host is taken, or not allowed.` },
      },
    },
    async ({ params: { name }, body }, reply) => {
      await control.addForward(side, name, body)
      reply.code(201)
      return body
    },
  )

  app.delete(
    path,
    {
      schema: {
        ...common,
        operationId: `remove${id}Forward`,
        summary: 'End a port forward',
        querystring: forwardKey,
        response: {},
        problems: { 404: `${missing} \`no-such-forward\`: it forwards nothing from there.`, 409: none },
      },
    },
    async ({ params: { name }, query }, reply) => {
      await control.removeForward(side, name, query)
      reply.code(204).send()
    },
  )
}
