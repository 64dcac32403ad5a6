/** What is written from the schema: config/tapswitch.schema.json, and the table of options in docs/configuration.md. */
import { configJsonSchema } from './schema.js'

/** The parts of JSON Schema that appear in ours. */
interface Node {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly properties?: Readonly<Record<string, Node>>
  readonly required?: readonly string[]
  readonly items?: Node
  readonly anyOf?: readonly Node[]
}

export function schemaText(): string {
  const schema = { title: 'tapswitch configuration', ...configJsonSchema() }
  return JSON.stringify(schema, null, 2)
}

/** Markdown, one row for each option; what the forms of a transport have in common is in the first of them. */
export function optionTable(): string {
  const rows = new Set(rowsOf(configJsonSchema() as Node, ''))
  return ['| Option | Allowed | Default | Meaning |', '|---|---|---|---|', ...rows].join('\n')
}

function rowsOf(node: Node, prefix: string): string[] {
  return Object.entries(node.properties ?? {}).flatMap(([key, option]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`
    const isRequired = node.required?.includes(key) ?? false
    const inner = innerRows(option, path)
    return option.type === 'object' ? inner : [row(path, option, isRequired), ...inner]
  })
}

function innerRows(option: Node, path: string): string[] {
  if (option.properties !== undefined) return rowsOf(option, path)
  const forms = option.items?.anyOf
  if (forms !== undefined) return forms.flatMap(form => [formHeading(path, form), ...rowsOf(form, `${path}[]`)])
  if (option.items?.properties !== undefined) return rowsOf(option.items, `${path}[]`)
  return (option.anyOf ?? []).flatMap(form => rowsOf(form, path))
}

/** `transports[]` with type unixgram and connect: what tells the form from the others. */
function formHeading(path: string, form: Node): string {
  const fixed = Object.entries(form.properties ?? {}).filter(([, option]) => option.const !== undefined)
  const required = form.required?.filter(key => key !== 'name' && form.properties?.[key].const === undefined) ?? []
  const marks = [...fixed.map(([key, option]) => `${key}: ${String(option.const)}`), ...required]
  return `| **${path}[]** with ${marks.map(code).join(', ')} | | | |`
}

function row(path: string, option: Node, isRequired: boolean): string {
  const fallback = isRequired ? '(required)' : defaultText(option)
  return `| ${code(path)} | ${allowedText(option)} | ${fallback} | ${option.description ?? ''} |`
}

function allowedText(option: Node): string {
  if (option.const !== undefined) return code(String(option.const))
  if (option.enum !== undefined) return option.enum.map(value => code(String(value))).join(', ')
  if (option.anyOf !== undefined) return option.anyOf.map(allowedText).join(' or ')
  if (option.type === 'integer') return `${option.minimum} to ${option.maximum}`
  if (option.type === 'array') return 'list'
  if (option.type === 'object') return 'mapping'
  return option.type ?? 'any'
}

function defaultText(option: Node): string {
  const value = option.default
  if (value === undefined || (typeof value === 'object' && value !== null)) return ''
  return code(String(value))
}

function code(text: string): string {
  return `\`${text}\``
}
