/** What the files of routes share. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { z } from 'zod'
import type { ZodTypeProvider } from '../zod-compiler.js'

export type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>

export type Tag =
  | 'state'
  | 'ports'
  | 'fdb'
  | 'transports'
  | 'interfaces'
  | 'configuration'
  | 'events'
  | 'captures'
  | 'access'
  | 'probes'

declare module 'fastify' {
  /** For the OpenAPI document, which is made from the routes. */
  interface FastifySchema {
    operationId?: string
    tags?: readonly Tag[]
    summary?: string
    description?: string
    /** Problems beyond those that every route has, by status. */
    problems?: Readonly<Record<number, string>>
    /** In the place of `body`, where that is checked further in. */
    documentedBody?: z.ZodType
    /** Where an answer is not JSON. */
    produces?: string
  }
}
