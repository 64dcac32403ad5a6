/**
 * One line in the log for every request that wanted to change something: who, from where, what, and what came of it.
 * Who shows no token that we know can send as many requests as he likes, so of those one a second is written, with the
 * number of the others.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { shown } from '../config/url-secrets.js'
import { type Logger, rateLimited } from '../log.js'
import { pathOf } from './problem.js'

/** Characters of the wish that are kept. */
const MAX_WISH = 2000

export function auditOf(log: Logger): (request: FastifyRequest, reply: FastifyReply) => void {
  const strangers = rateLimited((fields, message) => log.warn(fields, message), 1000)
  return (request, { statusCode: status }) => {
    const { method, is404, identity, ip, body } = request
    if (method === 'GET' || method === 'HEAD' || is404) return
    const fields = {
      who: identity?.name ?? null,
      role: identity?.role ?? null,
      from: ip || 'unix',
      method,
      path: pathOf(request),
      ...(body === undefined || body === null ? {} : { wish: JSON.stringify(shown(body)).slice(0, MAX_WISH) }),
      status,
      result: status < 400 ? 'done' : 'refused',
    }
    if (identity === undefined) strangers(fields, 'audit')
    else if (status < 400) log.info(fields, 'audit')
    else log.warn(fields, 'audit')
  }
}
