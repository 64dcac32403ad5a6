/**
 * The API's documentation as a page: plain HTML made from the OpenAPI document, without a script, a font or a request
 * to anywhere. The packaged browsers of OpenAPI documents weigh 1 to 10 MB and want `unsafe-inline`; this is read,
 * printed and found with the browser's own search.
 */
import { createHash } from 'node:crypto'
import type { Json, OpenApiDocument, Operation, Parameter } from './openapi.js'

const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: light-dark(#0b57d0, #8ab4f8) }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem }
h2 { border-bottom: 1px solid var(--line); margin-top: 3rem }
h3 { font-size: 1.05rem; margin-top: 2rem }
a { color: var(--accent) }
code, pre { font: 0.875em/1.4 ui-monospace, monospace }
pre { background: var(--soft); overflow-x: auto; padding: 0.75rem; border-radius: 0.4rem }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.6rem 0.3rem 0; text-align: left; vertical-align: top }
summary { cursor: pointer }
nav ul { columns: 20rem; padding-left: 1rem }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700 }
`

/** Goes with the page: nothing but its own style. */
export const docsPolicy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`

export function docsPage(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )
  const sections = document.tags.map(({ name, description }) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(name))
    const items = own.map(({ path, method, operation }) => operationHtml(path, method, operation)).join('')
    return own.length === 0
      ? ''
      : `<section><h2 id="${escapeHtml(name)}">${escapeHtml(name)}</h2><p>${escapeHtml(description)}</p>${items}</section>`
  })
  const links = operations.map(
    ({ path, method, operation }) =>
      `<li><a href="#${escapeHtml(operation.operationId)}"><code>${method} ${escapeHtml(path)}</code></a></li>`,
  )
  const { title, version, description } = document.info
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)} API</title>`,
    `<meta name="viewport" content="width=device-width, initial-scale=1"><style>${style}</style></head><body>`,
    `<header><h1>${escapeHtml(title)} API <small>${escapeHtml(version)}</small></h1>`,
    ...description.split('\n\n').map(text => `<p>${inline(text)}</p>`),
    '<p>As a document for programs: <a href="/openapi.json">openapi.json</a>.</p></header>',
    `<nav aria-label="Operations"><ul>${links.join('')}</ul></nav><main>`,
    ...sections,
    `<section><h2 id="schemas">Schemas</h2>${schemasHtml(document)}</section></main></body></html>`,
  ].join('\n')
}

function operationHtml(path: string, method: string, operation: Operation): string {
  const { operationId, summary, description, parameters = [], requestBody, responses } = operation
  return [
    `<article><h3 id="${escapeHtml(operationId)}"><span class="method">${method}</span> <code>${escapeHtml(path)}</code></h3>`,
    `<p><strong>${inline(summary)}.</strong> ${inline(description ?? '')}</p>`,
    parameters.length === 0 ? '' : parametersHtml(parameters),
    requestBody === undefined ? '' : bodyHtml('Body', requestBody.content),
    '<table><thead><tr><th scope="col">Answer</th><th scope="col">Meaning</th></tr></thead><tbody>',
    ...Object.entries(responses).map(([status, response]) => responseHtml(status, response)),
    '</tbody></table></article>',
  ].join('')
}

function parametersHtml(parameters: readonly Parameter[]): string {
  const rows = parameters.map(({ name, in: where, required, description, schema }) => {
    const fallback = schema.default === undefined ? '' : ` Default: ${String(schema.default)}.`
    const need = required ? 'required' : 'optional'
    return `<tr><td><code>${escapeHtml(name)}</code></td><td>${where}, ${need}</td><td>${inline(description)}${fallback}</td></tr>`
  })
  return `<table><thead><tr><th scope="col">Parameter</th><th scope="col">Where</th><th scope="col">Meaning</th></tr></thead><tbody>${rows.join('')}</tbody></table>`
}

function responseHtml(status: string, { $ref, description, content }: Operation['responses'][string]): string {
  if ($ref !== undefined)
    return `<tr><td>${status}</td><td><a href="#schema-Problem">Problem</a>, as from every route</td></tr>`
  const [[, media] = []] = Object.entries((content ?? {}) as Record<string, Json>)
  return `<tr><td>${status}</td><td>${inline(description ?? '')} ${media === undefined ? '' : schemaLink(media)}</td></tr>`
}

function bodyHtml(title: string, content: Readonly<Record<string, Json>>): string {
  return Object.entries(content)
    .map(([type, media]) => {
      const example = media.example === undefined ? '' : `<pre>${json(media.example)}</pre>`
      return `<p>${title} (<code>${escapeHtml(type)}</code>): ${schemaLink(media)}</p>${example}`
    })
    .join('')
}

function schemaLink({ schema }: Json): string {
  const { $ref, type } = (schema ?? {}) as { $ref?: string; type?: string }
  if ($ref === undefined) return type === undefined ? '' : `<code>${escapeHtml(type)}</code>`
  const name = $ref.slice($ref.lastIndexOf('/') + 1)
  return `<a href="#schema-${escapeHtml(name)}">${escapeHtml(name)}</a>`
}

function schemasHtml(document: OpenApiDocument): string {
  const { schemas } = document.components as { schemas: Record<string, unknown> }
  return Object.entries(schemas)
    .map(
      ([name, schema]) =>
        `<details id="schema-${escapeHtml(name)}"><summary>${escapeHtml(name)}</summary><pre>${json(schema)}</pre></details>`,
    )
    .join('')
}

/** `code` and nothing else of Markdown. */
function inline(text: string): string {
  return escapeHtml(text).replace(/`([^`]+)`/g, '<code>$1</code>')
}

function json(value: unknown): string {
  return escapeHtml(JSON.stringify(value, null, 2))
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
