/** One line in the log for every request that wanted to change something: who, from where, what, and what came of it. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from '../log.js'
import { pathOf } from './problem.js'

/** Characters of the wish that are kept. */
const MAX_WISH = 2000

export function writeAudit(log: Logger, request: FastifyRequest, reply: FastifyReply): void {
  if (request.method === 'GET' || request.method === 'HEAD' || request.is404) return
  const { identity, ip, method, body } = request
  const fields = {
    who: identity?.name ?? 'unknown',
    role: identity?.role,
    from: ip || 'unix',
    method,
    path: pathOf(request),
    ...(body === undefined || body === null ? {} : { wish: JSON.stringify(body).slice(0, MAX_WISH) }),
    status: reply.statusCode,
    result: reply.statusCode < 400 ? 'done' : 'refused',
  }
  if (reply.statusCode < 400) log.info(fields, 'audit')
  else log.warn(fields, 'audit')
}
