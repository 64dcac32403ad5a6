/**
 * Lets Fastify routes carry zod schemas: requests are parsed by them, replies are written through them, and handlers
 * take their types from them. `z.toJSONSchema()` turns the same schemas into the JSON Schema 2020-12 that OpenAPI 3.1
 * embeds.
 *
 * The packaged type provider for zod wants an OpenAPI generator installed beside it; these few lines want nothing.
 */
import type { FastifySchemaCompiler, FastifyTypeProvider } from 'fastify'
import type { FastifySerializerCompiler } from 'fastify/types/schema.js'
import { z } from 'zod'

/** A handler sees what a request schema puts out, and returns what a response schema takes in. */
export interface ZodTypeProvider extends FastifyTypeProvider {
  readonly validator: this['schema'] extends z.ZodType ? z.output<this['schema']> : unknown
  readonly serializer: this['schema'] extends z.ZodType ? z.input<this['schema']> : unknown
}

export const validatorCompiler: FastifySchemaCompiler<z.ZodType> = ({ schema }) => {
  return data => {
    const parsed = schema.safeParse(data)
    return parsed.success ? { value: parsed.data } : { error: parsed.error }
  }
}

/** Leaves out fields that the schema does not name; throws when one that it names is missing or of another type. */
export const serializerCompiler: FastifySerializerCompiler<z.ZodType> = ({ schema }) => {
  return data => JSON.stringify(schema.parse(data))
}

export { z }
