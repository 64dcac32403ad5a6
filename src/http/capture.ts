/**
 * GET /v1/capture: frames as they pass, as an endless pcapng file. The answer begins at once, also on a quiet switch,
 * and an empty block breaks a silence of 15 s, for the sake of proxies. A reader that hangs up ends the capture; DELETE
 * /v1/captures/{id} ends the file properly, with its statistics.
 */

import type { Capture } from '../control/capture.js'
import { type Captures, TooManyCaptures } from '../control/captures.js'
import type { SwitchView } from '../control/view.js'
import { OperatorError } from '../errors.js'
import { FilterError } from '../wire/bpf.js'
import { MAX_FILTER_LENGTH } from '../wire/filter-text.js'
import { HttpProblem } from './problem.js'
import { noQuery } from './requests.js'
import type { App } from './routes/app.js'
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
    .describe(
      'Only frames that match this expression of pcap-filter(7): `arp or tcp port 80`; everything when missing. Hosts by address, not by name.',
    ),
})

export const captureSchema = z
  .object({
    id: z.int().positive(),
    portId: z.int().nonnegative().nullable().describe('Null: every port.'),
    snaplen: z.int(),
    filter: z.string(),
    seconds: z.int(),
    megabytes: z.number(),
    bytes: z.number().describe('Of the file, so far.'),
    startedAt: z.string().describe('ISO 8601.'),
  })
  .meta({ id: 'Capture' })

export const captureListSchema = z.object({ captures: z.array(captureSchema) }).meta({ id: 'CaptureList' })

export const captureParameters = z.strictObject({
  id: wholeNumber(1, 2 ** 31 - 1)
    .describe('Number of a capture.')
    .meta({ example: 1 }),
})

export const PCAPNG_MEDIA_TYPE = 'application/x-pcapng'
/** Seconds until the kernel asks whether a silent reader is still there. */
const KEEP_ALIVE_MS = 30_000

export function captureRoutes(app: App, view: SwitchView, captures: Captures): void {
  const streaming = {
    exposeHeadRoute: false,
    // Traffic is more than state.
    config: { access: 'control' as const, use: 'effect' as const },
    schema: {
      operationId: 'capture',
      tags: ['captures' as const],
      summary: 'Frames as they pass, as pcapng',
      description:
        'Goes on until a limit is reached, the reader hangs up, or the capture is ended, which alone gives the file its statistics. Its ' +
        'number is in the header `tapswitch-capture`. Needs the role `control`.',
      querystring: captureQuery,
      produces: PCAPNG_MEDIA_TYPE,
      problems: {
        400: '`bad-filter`: libpcap refuses the filter, or it has a name that would be looked up.',
        404: '`no-such-port`: there is no port with this id or name.',
        429: '`too-many-captures`: as many run as may. `too-many-failures`: too many wrong tokens came from this address.',
        501: '`no-filters`: a filter needs libpcap, which this machine does not have.',
      },
    },
  }
  app.get('/v1/capture', streaming, async (request, reply) => {
    const { port, snaplen, seconds, megabytes, filter } = request.query
    const options = { portId: idOf(view, port), snapLength: snaplen, filter, seconds, maxBytes: megabytes * mebibyte }
    // Neither a quiet network nor a filter that waits for its compiler is a reason to hang up.
    request.raw.socket.setTimeout(0)
    const { id, file } = await captures.start(options).catch(error => {
      throw refusal(error)
    })
    // The client may have gone while the filter was compiled.
    if (request.raw.socket.destroyed) file.destroy()
    request.raw.socket.setKeepAlive(true, KEEP_ALIVE_MS)
    return (
      reply
        .type(PCAPNG_MEDIA_TYPE)
        .header('tapswitch-capture', String(id))
        // nginx passes the answer on as it comes.
        .header('x-accel-buffering', 'no')
        .header('content-disposition', 'attachment; filename="tapswitch.pcapng"')
        .send(file)
    )
  })

  const listing = {
    schema: {
      operationId: 'listCaptures',
      tags: ['captures' as const],
      summary: 'Captures that run',
      querystring: noQuery,
      response: { 200: captureListSchema },
    },
  }
  app.get('/v1/captures', listing, () => ({
    captures: captures.all().map(captureView),
  }))

  app.delete(
    '/v1/captures/:id',
    {
      schema: {
        operationId: 'endCapture',
        tags: ['captures'],
        summary: 'End a capture, with statistics at the end of its file',
        params: captureParameters,
        querystring: noQuery,
        problems: { 404: '`no-such-capture`: there is no capture with this number.' },
      },
    },
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

function refusal(error: unknown): unknown {
  if (error instanceof FilterError) return new HttpProblem(400, 'bad-filter', `filter: ${error.message}.`)
  if (error instanceof TooManyCaptures) return new HttpProblem(429, 'too-many-captures', `${error.message}.`)
  if (error instanceof OperatorError) return new HttpProblem(501, 'no-filters', `filter: ${error.message}.`)
  return error
}

function idOf(view: SwitchView, port: string | undefined): number | null {
  if (port === undefined) return null
  const found = view.ports().find(({ id, name }) => String(id) === port || name === port)
  if (found === undefined) throw new HttpProblem(404, 'no-such-port', `There is no port ${port}.`)
  return found.id
}
