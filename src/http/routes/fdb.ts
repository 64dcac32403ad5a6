/** The filtering database: read page by page, static addresses, forgetting. */
import type { SwitchControl } from '../../control/switch-control.js'
import type { FdbEntryView, SwitchView } from '../../control/view.js'
import { parseMac as parse } from '../../wire/ethernet.js'
import { HttpProblem } from '../problem.js'
import { fdbQuery, flushBody, macParameters, newEntry, noQuery } from '../requests.js'
import { fdbEntrySchema, fdbPageSchema } from '../schemas.js'
import type { App } from './app.js'

const noSuchEntry = '`no-such-entry`: the address is not in the filtering database.'
const noSuchPort = '`no-such-port`: there is no port with this id or name.'
const tooBusy = '`busy`: too many clients wait for the table; try again.'

export function fdbRoutes(app: App, view: SwitchView, control: SwitchControl): void {
  const entryOf = async (mac: string): Promise<FdbEntryView> => {
    const { entries } = await view.fdb({ mac: parseMac(mac), offset: 0, limit: 1 })
    const [entry] = entries
    if (entry === undefined) throw new HttpProblem(404, 'no-such-entry', `${mac} is not in the filtering database.`)
    return entry
  }

  app.get(
    '/v1/fdb',
    {
      schema: {
        operationId: 'listFdb',
        tags: ['fdb'],
        summary: 'The filtering database, page by page',
        description:
          'In order of address. While addresses come and go, one that does may be on a page or not; the table at rest is shown exactly.',
        querystring: fdbQuery,
        response: { 200: fdbPageSchema },
        problems: { 503: tooBusy },
      },
    },
    ({ query: { mac, ...query }, raw: { socket } }) =>
      view.fdb({ ...query, mac: mac === undefined ? undefined : parseMac(mac), isGone: () => socket.destroyed }),
  )

  app.get(
    '/v1/fdb/:mac',
    {
      schema: {
        operationId: 'getFdbEntry',
        tags: ['fdb'],
        summary: 'Where one address is',
        params: macParameters,
        querystring: noQuery,
        response: { 200: fdbEntrySchema },
        problems: { 404: noSuchEntry, 503: tooBusy },
      },
    },
    ({ params: { mac } }) => entryOf(mac),
  )

  app.post(
    '/v1/fdb',
    {
      schema: {
        operationId: 'addFdbEntry',
        tags: ['fdb'],
        summary: 'Bind an address to a port',
        description: 'A static address neither ages nor moves. 200 when it was bound there before.',
        querystring: noQuery,
        body: newEntry,
        response: { 200: fdbEntrySchema, 201: fdbEntrySchema },
        problems: {
          404: noSuchPort,
          409: '`address-taken`: it is bound to another port. `limit-reached`: the port or the table is full.',
        },
      },
    },
    async ({ body: { mac, port } }, reply) => {
      const isNew = await control.addStatic(mac, port)
      reply.code(isNew ? 201 : 200).header('location', `/v1/fdb/${mac}`)
      return entryOf(mac)
    },
  )

  app.delete(
    '/v1/fdb/:mac',
    {
      schema: {
        operationId: 'removeFdbEntry',
        tags: ['fdb'],
        summary: 'Forget an address, static or learned',
        params: macParameters,
        querystring: noQuery,
        response: {},
        problems: { 404: noSuchEntry },
      },
    },
    async ({ params: { mac } }, reply) => {
      await control.removeEntry(mac)
      reply.code(204).send()
    },
  )

  app.post(
    '/v1/fdb/flush',
    {
      schema: {
        operationId: 'flushFdb',
        tags: ['fdb'],
        summary: 'Forget what was learned, on one port or on all',
        description: 'Static addresses stay. Without a body, everything that was learned.',
        querystring: noQuery,
        body: flushBody,
        response: {},
        problems: { 404: noSuchPort },
      },
    },
    async ({ body }, reply) => {
      await control.flush(body?.port ?? null)
      reply.code(204).send()
    },
  )
}

/** Of an address that a schema has let through. */
const parseMac = (mac: string): number => parse(mac) as number
