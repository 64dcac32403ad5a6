/**
 * Errors as RFC 9457 problem documents: everything that is not an answer leaves through here, so that a client finds
 * the same shape whether the router, a schema, a handler or Node's HTTP parser refused. A fault of ours is logged in
 * full and told without particulars.
 */
import { STATUS_CODES } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { Refused, type RefusedCode } from '../control/switch-control.js'
import { ConfigError, OperatorError } from '../errors.js'
import { securityHeaders } from './guard.js'
import type { Problem } from './schemas.js'
import { z } from './zod-compiler.js'

export type LogFault = (fields: object, message: string) => void

const MEDIA_TYPE = 'application/problem+json'

/** Thrown by hooks and handlers to answer with a problem. */
export class HttpProblem extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Record<string, string>

  constructor(status: number, code: string, detail: string, headers: Record<string, string> = {}) {
    super(detail)
    this.name = 'HttpProblem'
    this.status = status
    this.code = code
    this.headers = headers
  }
}

export function sendError(
  error: FastifyError | Error,
  request: FastifyRequest,
  reply: FastifyReply,
  logFault: LogFault,
): void {
  const problem = describe(error)
  if (problem.status >= 500 && !(error instanceof HttpProblem)) {
    logFault({ err: error, method: request.method, path: pathOf(request) }, 'an HTTP request failed inside')
  }
  reply
    .code(problem.status)
    .headers(securityHeaders)
    .headers(error instanceof HttpProblem ? error.headers : {})
    .type(MEDIA_TYPE)
    .send(Buffer.from(JSON.stringify(problem)))
}

function describe(error: FastifyError | Error): Problem {
  if (error instanceof HttpProblem) return problem(error.status, error.code, error.message)
  if (error instanceof Refused) return problem(statusOf[error.code], error.code, error.message)
  if (error instanceof ConfigError) return invalid(error.problems.map(each => ({ in: 'body', ...each })))
  if (error instanceof OperatorError) return problem(409, 'not-possible', error.message)
  const where = 'validationContext' in error ? error.validationContext : undefined
  if (error instanceof z.ZodError && where !== undefined) {
    const place = where === 'querystring' ? 'query' : where === 'params' ? 'path' : where
    return invalid(error.issues.map(({ path, message }) => ({ in: place, path: path.join('.'), message })))
  }
  const status = 'statusCode' in error ? error.statusCode : undefined
  if (status !== undefined && status >= 400 && status < 500) return problem(status, 'bad-request', error.message)
  return problem(500, 'internal', 'Something went wrong inside tapswitch; its log says what.')
}

function invalid(errors: NonNullable<Problem['errors']>): Problem {
  const said = errors.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
  return { ...problem(400, 'invalid-request', said.join('; ')), errors }
}

const statusOf: Readonly<Record<RefusedCode, number>> = {
  'no-such-port': 404,
  'no-such-entry': 404,
  'no-such-transport': 404,
  'no-such-interface': 404,
  'no-such-forward': 404,
  'no-forwards': 409,
  'name-taken': 409,
  'address-taken': 409,
  'limit-reached': 409,
  'not-connected': 409,
  'cannot-disconnect': 409,
  confined: 403,
  'file-changed': 409,
  'not-saved': 409,
  interrupted: 503,
  busy: 503,
  'not-enough-memory': 507,
}

function problem(status: number, code: string, detail: string): Problem {
  return { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, code, detail }
}

/** The path a request asked for; its query may hold a MAC address, which does not belong in a log. */
export function pathOf(request: FastifyRequest): string {
  const query = request.url.indexOf('?')
  return query < 0 ? request.url : request.url.slice(0, query)
}

/** Answers what Node's HTTP parser gave up on; there is no request yet, only the socket. */
export function sendParseError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const status = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 }[error.code ?? ''] ?? 400
  const detail = {
    400: 'This is not an HTTP request.',
    408: 'The request took too long to arrive.',
    431: 'The request header is too large.',
  }[status]
  sendOnSocket(new HttpProblem(status, 'bad-request', detail ?? ''), socket)
}

/** A whole answer on a socket that no response object belongs to; the last thing it carries. */
export function sendOnSocket({ status, code, message, headers }: HttpProblem, socket: Duplex): void {
  const body = JSON.stringify(problem(status, code, message))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `content-type: ${MEDIA_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    ...Object.entries({ ...securityHeaders, ...headers }).map(([name, value]) => `${name}: ${value}`),
  ]
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  // Not end(): Node's HTTP sockets stay half open until the client ends them too.
  if (socket instanceof Socket) socket.destroySoon()
  else socket.end(() => socket.destroy())
}
