/** The reference part of docs/api.md, from the OpenAPI document: each operation with what it takes and answers. */
import type { Json, OpenApiDocument, Operation } from './openapi.js'

/** Columns of an example. */
const WIDTH = 100

export function apiReference(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )
  const sections = document.tags.flatMap(({ name, description }) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(name))
    if (own.length === 0) return []
    const entries = own.map(({ path, method, operation }) => operationText(path, method, operation))
    return [`## ${name}`, description, ...entries]
  })
  return sections.join('\n\n')
}

function operationText(path: string, method: string, operation: Operation): string {
  const { summary, description, parameters = [], requestBody, responses } = operation
  const parts = [`### ${method} ${path}`, `${summary}.${description === undefined ? '' : ` ${description}`}`]
  if (parameters.length > 0) {
    const rows = parameters.map(({ name, in: where, required, description: text, schema }) => {
      const fallback = schema['default'] === undefined ? '' : `\`${String(schema['default'])}\``
      return `| \`${name}\` | ${where}${required ? ', required' : ''} | ${fallback} | ${text.replaceAll('|', '\\|')} |`
    })
    parts.push(['| Parameter | Where | Default | Meaning |', '|---|---|---|---|', ...rows].join('\n'))
  }
  const body = exampleOf(requestBody?.content)
  if (body !== undefined) parts.push(fenced(body))
  const answers = Object.entries(responses)
    .filter(([, { $ref }]) => $ref === undefined)
    .map(([status, { description: text }]) => `| ${status} | ${(text ?? '').replaceAll('|', '\\|')} |`)
  parts.push(['| Answer | |', '|---|---|', ...answers].join('\n'))
  const success = Object.entries(responses).find(([status]) => status.startsWith('2'))?.[1]
  const example = exampleOf(success?.['content'] as Readonly<Record<string, Json>> | undefined)
  // What a change answers is what reading answers.
  if (example !== undefined && method === 'GET') parts.push(listText(example) ?? fenced(example))
  return parts.join('\n\n')
}

function exampleOf(content: Readonly<Record<string, Json>> | undefined): unknown {
  return content?.['application/json']?.['example']
}

/** A list is shown by its name: its entries are shown where they are read one by one. */
function listText(value: unknown): string | undefined {
  const [first, ...rest] = Object.entries(value as object)
  return first !== undefined && rest.length === 0 && Array.isArray(first[1])
    ? `\`{ "${first[0]}": [ ... ] }\``
    : undefined
}

function fenced(value: unknown): string {
  return `\`\`\`json\n${written(value, 0)}\n\`\`\``
}

/** JSON that keeps on one line what fits there. */
function written(value: unknown, indent: number): string {
  const flat = JSON.stringify(value, null, 1).replace(/\n\s*/g, ' ')
  if (typeof value !== 'object' || value === null || flat.length + indent <= WIDTH) return flat
  const pad = ' '.repeat(indent + 2)
  const inner = Array.isArray(value)
    ? value.map(item => written(item, indent + 2))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${written(item, indent + 2)}`)
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}']
  return `${open}\n${inner.map(line => pad + line).join(',\n')}\n${' '.repeat(indent)}${close}`
}
