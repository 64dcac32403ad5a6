/** Who one is here, and how the page gets a session: sessions.ts. */
import type { AccessControl } from '../access.js'
import { HttpProblem } from '../problem.js'
import { noQuery } from '../requests.js'
import { identitySchema, issuedSchema } from '../schemas.js'
import type { Sessions } from '../sessions.js'
import { z } from '../zod-compiler.js'
import type { App } from './app.js'

const codeBody = z.strictObject({ code: z.string().max(64).describe('Of the link, behind `#code=`.') }).meta({
  id: 'SessionCode',
  example: { code: 'Cq1zpVhJTg8vGq0hXbq2YA' },
})

export function sessionRoutes(app: App, sessions: Sessions, access: AccessControl): void {
  app.get(
    '/v1/session',
    {
      schema: {
        operationId: 'getSession',
        tags: ['access'],
        summary: 'Name and role of the caller',
        querystring: noQuery,
        response: { 200: identitySchema },
      },
    },
    ({ identity }) => ({ name: identity?.name ?? 'anonymous', role: identity?.role ?? 'read' }),
  )

  app.post(
    '/v1/session',
    {
      config: { access: 'open' },
      schema: {
        operationId: 'openSession',
        tags: ['access'],
        summary: 'Exchange the code of a link for a token',
        description:
          'The token has the role `control`, for twelve hours or until the switch ends. A code works once, for ten minutes.',
        querystring: noQuery,
        body: codeBody,
        response: { 201: issuedSchema },
        problems: {
          403: '`code-unknown`: this code is not known, was used, or is too old. `wrong-origin`: a page of another site sent this.',
          429: '`too-many-failures`: too many wrong tokens came from this address.',
        },
      },
    },
    ({ body: { code }, raw }, reply) => {
      const issued = sessions.exchange(code)
      if (issued !== undefined) {
        reply.code(201)
        return answerOf(issued)
      }
      const address = raw.socket.remoteAddress ?? ''
      if (!access.refused(address, 'code'))
        throw new HttpProblem(429, 'too-many-failures', 'Too many wrong tokens came from this address.')
      throw new HttpProblem(403, 'code-unknown', 'This link was used or is too old; "tapswitch link" prints a new one.')
    },
  )

  app.post(
    '/v1/session/code',
    {
      schema: {
        operationId: 'makeSessionCode',
        tags: ['access'],
        summary: 'Make a code for a link to the page',
        description: 'The link is the address of the page with `#code=` and the code behind it.',
        querystring: noQuery,
        response: { 201: issuedSchema },
      },
    },
    (_request, reply) => {
      reply.code(201)
      return answerOf(sessions.issueCode())
    },
  )
}

function answerOf({ secret, expires }: { secret: string; expires: number }) {
  return { secret, expires: new Date(expires).toISOString() }
}
