/**
 * GET /v1/capture: frames as they pass, as an endless pcapng file. Whoever only hangs up gets what was on its way; DELETE
 * /v1/captures/{id} ends the file properly, with its statistics.
 */

import type { Capture } from '../control/capture.js'
import type { Captures } from '../control/captures.js'
import type { SwitchView } from '../control/view.js'
import { OperatorError } from '../errors.js'
import { compileFilter, FilterError, MAX_FILTER_LENGTH } from '../wire/filter.js'
import { HttpProblem } from './problem.js'
import type { App } from './routes.js'
import { noQuery } from './schemas.js'
import { wholeNumber } from './whole-number.js'
import { z } from './zod-compiler.js'

const longestFrame = 65_550
const mebibyte = 1024 * 1024

export const captureQuery = z.strictObject({
  port: z.string().min(1).max(256).optional().describe("A port's id or name; every port when missing."),
  snaplen: wholeNumber(14, longestFrame)
    .default(longestFrame)
    .describe('Bytes kept of each frame; all of them when missing.'),
  seconds: wholeNumber(1, 86_400).default(3600).describe('The capture ends after this time; an hour when missing.'),
  megabytes: wholeNumber(1, 1_048_576)
    .default(1024)
    .describe('The capture ends at this size (of 2^20 bytes each); 1024 when missing.'),
  filter: z
    .string()
    .max(MAX_FILTER_LENGTH)
    .default('')
    .describe('Only frames that match, in the words of tcpdump: `arp or tcp port 80`; everything when missing.'),
})

export const captureSchema = z.object({
  id: z.int().positive(),
  portId: z.int().nonnegative().nullable().describe('Null: every port.'),
  snaplen: z.int(),
  filter: z.string(),
  seconds: z.int(),
  megabytes: z.number(),
  bytes: z.number().describe('Of the file, so far.'),
  startedAt: z.string().describe('ISO 8601.'),
})

export const captureListSchema = z.object({ captures: z.array(captureSchema) })

export const captureParameters = z.strictObject({ id: wholeNumber(1, 2 ** 31 - 1) })

export const PCAPNG_MEDIA_TYPE = 'application/x-pcapng'
/** Seconds until the kernel asks whether a silent reader is still there. */
const KEEP_ALIVE_MS = 30_000

export function captureRoutes(app: App, view: SwitchView, captures: Captures): void {
  app.get('/v1/capture', { schema: { querystring: captureQuery }, exposeHeadRoute: false }, async (request, reply) => {
    const { port, snaplen, seconds, megabytes, filter } = request.query
    checkFilter(filter)
    const options = { portId: idOf(view, port), snapLength: snaplen, filter, seconds, maxBytes: megabytes * mebibyte }
    const { id, file } = await captures.start(options).catch(error => {
      throw error instanceof OperatorError ? new HttpProblem(429, 'too-many-captures', `${error.message}.`) : error
    })
    // A quiet network is no reason to hang up.
    request.raw.socket.setTimeout(0)
    request.raw.socket.setKeepAlive(true, KEEP_ALIVE_MS)
    return reply
      .type(PCAPNG_MEDIA_TYPE)
      .header('tapswitch-capture', String(id))
      .header('content-disposition', 'attachment; filename="tapswitch.pcapng"')
      .send(file)
  })

  app.get('/v1/captures', { schema: { querystring: noQuery, response: { 200: captureListSchema } } }, () => ({
    captures: captures.all().map(captureView),
  }))

  // Who may start one may end one.
  const access = { config: { access: 'read' as const } }
  app.delete(
    '/v1/captures/:id',
    { schema: { params: captureParameters, querystring: noQuery }, ...access },
    async (request, reply) => {
      const capture = captures.get(request.params.id)
      if (capture === undefined)
        throw new HttpProblem(404, 'no-such-capture', `There is no capture ${request.params.id}.`)
      await capture.stop()
      return reply.status(204).send()
    },
  )
}

function captureView({ id, options, bytes, startedAt }: Capture): z.input<typeof captureSchema> {
  const { portId, snapLength, filter, seconds, maxBytes } = options
  return {
    id,
    portId,
    snaplen: snapLength,
    filter,
    seconds,
    megabytes: maxBytes / mebibyte,
    bytes,
    startedAt: new Date(startedAt).toISOString(),
  }
}

function checkFilter(filter: string): void {
  try {
    if (filter !== '') compileFilter(filter)
  } catch (error) {
    if (error instanceof FilterError) throw new HttpProblem(400, 'bad-filter', `filter: ${error.message}.`)
    throw error
  }
}

function idOf(view: SwitchView, port: string | undefined): number | null {
  if (port === undefined) return null
  const found = view.ports().find(({ id, name }) => String(id) === port || name === port)
  if (found === undefined) throw new HttpProblem(404, 'no-such-port', `There is no port ${port}.`)
  return found.id
}
