/**
 * The kinds of value an option can have. Each kind says in words what it allows; messages.ts puts that behind the path
 * and the value when something else is given, so a new kind needs no message of its own.
 */
import { z } from 'zod'

/** What a schema allows, to stand after "is not": "a whole number from 1 to 10". */
export const allowedValues = z.registry<{ text: string; hidden?: boolean; anyText?: boolean }>()

export function allow<Schema extends z.ZodType>(text: string, schema: Schema): Schema {
  allowedValues.add(schema, { text })
  return schema
}

/** The same for what must not be repeated in a message: somebody may have written the secret itself. */
export function allowHidden<Schema extends z.ZodType>(text: string, schema: Schema): Schema {
  allowedValues.add(schema, { text, hidden: true })
  return schema
}

export const wholeNumber = (min: number, max: number) =>
  allow(`a whole number from ${min} to ${max}`, z.int().min(min).max(max))

/** Fractions too. */
export const number = (min: number, max: number) =>
  allow(`a number from ${min} to ${max}`, z.number().min(min).max(max))

export const flag = () => allow('true or false', z.boolean())

export const oneOf = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  allow(`one of ${values.map(value => `"${value}"`).join(', ')}`, z.enum(values))

export const list = <Item extends z.ZodType>(item: Item) => allow('a list', z.array(item))

export const shortList = <Item extends z.ZodType>(item: Item, max: number) =>
  allow(`a list of at most ${max}`, z.array(item).max(max))

/** Why an option that exists elsewhere is an error in this mapping. */
export const misplacedOptions = z.registry<Record<string, string>>()

/** A mapping in which an unknown key is an error; `misplaced` says more about keys that are right somewhere else. */
export function group<Shape extends z.core.$ZodLooseShape>(shape: Shape, misplaced: Record<string, string> = {}) {
  const schema = allow('a mapping of options', z.strictObject(shape))
  misplacedOptions.add(schema, misplaced)
  return schema
}

/** Without NUL, which ends a path or a name for the kernel, and for nothing else. */
export const text = (what: string) => allow(what, z.string().regex(/^[^\0]+$/))

/** No colon: `<transport>:<n>` is the name of a port. A number in quotes is a name. */
export function name() {
  const schema = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/)
  const text = 'a name: lower-case letters, digits, ".", "_" and "-", at most 63, beginning with a letter or a digit'
  allowedValues.add(schema, { text, anyText: true })
  return schema
}

/** Relative paths start in `runtimeDir`; the length is checked once they are absolute. */
export const socketPath = () => allow('the path of a unix socket', z.string().regex(/^[^\0]*[^\0/]$/))

/** A string, because YAML reads a bare 0600 as the decimal number 600. */
export const fileMode = () => allow('an octal file mode in quotes, such as "0600"', z.string().regex(/^0?[0-7]{3}$/))

export function account(what: 'user' | 'group') {
  const wanted = `the name or the number of a ${what}`
  const number = allow(wanted, z.int().min(0).max(0xfffffffe))
  const name = allow(wanted, z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.@$ -]{0,255}$/))
  return allow(wanted, z.union([number, name]))
}

/** Octets with ":" or "-" between them. What kind of address it is, is checked in resolve.ts. */
export const macAddress = () =>
  allow(
    'a MAC address such as "02:00:00:00:00:01"',
    z.string().regex(/^[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}$|^[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}$/),
  )
