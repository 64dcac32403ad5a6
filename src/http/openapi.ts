/**
 * The OpenAPI 3.1 document, made from the routes as they are registered and the zod schemas they check with: nothing is
 * written twice, so nothing can drift. Schemas with an id become components; the rest stays where it is used.
 */
import type { FastifySchema, RouteOptions } from 'fastify'
import { version } from '../version.js'
import type { Access } from './access.js'
import { examples } from './examples.js'
import type { Tag } from './routes/app.js'
import { problemSchema } from './schemas.js'
import { z } from './zod-compiler.js'

export type Json = { readonly [key: string]: unknown }

export interface OpenApiDocument extends Json {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string; readonly description: string } & Json
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

export interface Operation extends Json {
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  readonly tags: readonly string[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly required: boolean; readonly content: Readonly<Record<string, Json>> }
  readonly responses: Readonly<Record<string, { readonly description?: string; readonly $ref?: string } & Json>>
}

export interface Parameter extends Json {
  readonly name: string
  readonly in: string
  readonly required: boolean
  readonly description: string
  readonly schema: Json
}

const tags: Readonly<Record<Tag, string>> = {
  state: 'The switch as a whole.',
  ports: 'Where frames come in and go out.',
  fdb: 'The filtering database: which MAC address is behind which port.',
  transports: "The guests' side: VMs, tunnels, browsers.",
  interfaces: "The host's side: uplinks.",
  configuration: 'The configuration file.',
  events: 'What happens, as it happens.',
  captures: 'Frames, for Wireshark and its like.',
  access: 'Who the caller is, and sessions of the page.',
  probes: 'For what watches the switch: metrics, probes.',
}

const description = [
  'Reads and changes a running switch. Counters are seen from the switch: *receive* is into it. Fields may be added to answers;',
  'unknown ones are to be ignored. Unknown fields of requests are refused. A change that is refused changes nothing.',
  '',
  '`read` tokens may use GET but for captures, `control` tokens everything. What callers without a token may do is `http.anonymous`: by default',
  'they may read, on loopback and unix sockets, where no token is configured.',
].join('\n')

/** The routes that have an operationId, in the order they were registered. */
export function openApiDocument(routes: readonly RouteOptions[]): OpenApiDocument {
  const components: Record<string, unknown> = {}
  const paths: Record<string, Record<string, Operation>> = {}
  for (const { url, method, schema, config } of routes) {
    if (schema?.operationId === undefined || method === 'HEAD') continue
    const path = url.replace(/:(\w+)/g, '{$1}')
    paths[path] ??= {}
    const access = config?.access ?? (method === 'GET' ? 'read' : 'control')
    paths[path][String(method).toLowerCase()] = operationOf(schema, access, components)
  }
  const problem = schemaOf(problemSchema, 'output', components)
  return {
    openapi: '3.1.0',
    info: {
      title: 'tapswitch',
      version,
      description,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The switch that serves this document.' }],
    tags: Object.entries(tags).map(([name, text]) => ({ name, description: text })),
    security: [{ bearer: [] }, { basic: [] }, {}],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A token of `http.token` or `http.tokens`.' },
        basic: { type: 'http', scheme: 'basic', description: 'For browsers: any user name, the token as password.' },
      },
      schemas: components,
      responses: Object.fromEntries(
        Object.entries(commonProblems).map(([status, text]) => [`Problem${status}`, problemResponse(text, problem)]),
      ),
    },
  }
}

/** By status: what every route may answer. */
const commonProblems: Readonly<Record<number, string>> = {
  400: '`invalid-request`: a parameter or the body is not valid; `errors` says where. `bad-request`: not what HTTP allows.',
  401: '`token-missing`, `token-unknown`, `token-expired`.',
  403: '`role-too-weak`: the token may only read. `wrong-origin`: a page of another site sent this.',
  421: '`wrong-host`: the Host header names another host.',
  429: '`too-many-failures`: too many wrong tokens came from this address.',
}

function operationOf(schema: FastifySchema, access: Access, components: Record<string, unknown>): Operation {
  const { operationId = '', summary = '', tags = [], produces } = schema
  const parameters = [
    ...parametersOf('path', schema.params, components),
    ...parametersOf('query', schema.querystring, components),
    ...parametersOf('header', schema.headers, components),
  ]
  const body = schema.documentedBody ?? (schema.body as z.ZodType | undefined)
  return {
    operationId,
    summary,
    ...(schema.description === undefined ? {} : { description: schema.description }),
    tags,
    ...(access === 'open' ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: requestBodyOf(body, components) }),
    responses: {
      ...successOf(schema.response as Record<string, z.ZodType> | undefined, produces, components),
      ...problemsOf(schema, access, components),
    },
  }
}

function successOf(
  response: Record<string, z.ZodType> | undefined,
  produces: string | undefined,
  components: Record<string, unknown>,
): Operation['responses'] {
  if (produces !== undefined) {
    return { 200: { description: 'OK', content: { [produces]: { schema: { type: 'string' } } } } }
  }
  const entries = Object.entries(response ?? {})
  if (entries.length === 0) return { 204: { description: 'Done.' } }
  return Object.fromEntries(
    entries.map(([status, schema]) => {
      const example = examples[idOf(schema) ?? '']
      const content = { schema: schemaOf(schema, 'output', components), ...(example === undefined ? {} : { example }) }
      return [status, { description: status === '201' ? 'Made.' : 'OK', content: { 'application/json': content } }]
    }),
  )
}

function problemsOf(
  schema: FastifySchema,
  access: Access,
  components: Record<string, unknown>,
): Operation['responses'] {
  const problem = schemaOf(problemSchema, 'output', components)
  const common = Object.keys(commonProblems).filter(status => access !== 'open' || !['401', '429'].includes(status))
  return {
    ...Object.fromEntries(common.map(status => [status, { $ref: `#/components/responses/Problem${status}` }])),
    ...Object.fromEntries(
      Object.entries(schema.problems ?? {}).map(([status, text]) => [status, problemResponse(text, problem)]),
    ),
  }
}

function problemResponse(text: string, schema: Json): Json & { description: string } {
  return { description: text, content: { 'application/problem+json': { schema, example: examples.Problem } } }
}

function requestBodyOf(schema: z.ZodType, components: Record<string, unknown>): NonNullable<Operation['requestBody']> {
  const required = !schema.safeParse(undefined).success
  const bare = schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema
  const inner = bare instanceof z.ZodNullable ? (bare.unwrap() as z.ZodType) : bare
  const example = z.globalRegistry.get(inner)?.example
  return {
    required,
    content: {
      'application/json': {
        schema: schemaOf(inner, 'input', components),
        ...(example === undefined ? {} : { example }),
      },
    },
  }
}

function parametersOf(
  where: 'path' | 'query' | 'header',
  schema: unknown,
  components: Record<string, unknown>,
): Parameter[] {
  if (!(schema instanceof z.ZodObject)) return []
  return Object.entries(schema.shape as Record<string, z.ZodType>).map(([name, field]) => {
    const { description: text, example, ...rest } = schemaOf(field, 'output', components) as Record<string, unknown>
    const known = example ?? z.globalRegistry.get(field)?.example
    return {
      name,
      in: where,
      required: where === 'path' || !field.safeParse(undefined).success,
      description: String(text ?? ''),
      ...(rest.type === 'array' ? { style: 'form', explode: false } : {}),
      schema: rest,
      ...(known === undefined ? {} : { example: rest.type === 'array' ? String(known).split(',') : known }),
    }
  })
}

/** As JSON Schema, with what has an id moved to the components. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output', components: Record<string, unknown>): Json {
  const written = z.toJSONSchema(z.object({ it: schema }), {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema, zodSchema }) => {
      delete jsonSchema.id
      if (jsonSchema.example !== undefined && zodSchema._zod.def.type === 'object') delete jsonSchema.example
      // Answers may gain fields.
      if (io === 'output' && zodSchema._zod.def.type === 'object') delete jsonSchema.additionalProperties
    },
  })
  const pointed = JSON.parse(JSON.stringify(written).replaceAll('"#/$defs/', '"#/components/schemas/')) as {
    $defs?: Record<string, unknown>
    properties: { it: Json }
  }
  Object.assign(components, pointed.$defs)
  return pointed.properties.it
}

function idOf(schema: z.ZodType): string | undefined {
  return z.globalRegistry.get(schema)?.id
}
