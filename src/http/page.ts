/**
 * The live page at `/` and its files: a fixed list, read once. A caller who may read may have them; where that takes a
 * token, a browser asks for it.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { App } from './routes/app.js'

const mediaTypes: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}

/** Nothing from elsewhere; uPlot sets styles through the CSSOM, which this does not concern. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

export function pageRoutes(app: App): void {
  const files = pageFiles()
  const options = { schema: {} }
  const send = (name: string, url: string) => {
    const body = readFileSync(files.get(name) as string)
    const type = mediaTypes[name.slice(name.lastIndexOf('.') + 1)] as string
    app.get(url, url === '/' ? { ...options, config: { use: 'page' as const } } : options, (_request, reply) => {
      reply.header('content-security-policy', policy).header('cache-control', 'no-cache').type(type).send(body)
    })
  }
  send('index.html', '/')
  for (const name of files.keys()) if (name !== 'index.html') send(name, `/page/${name}`)
}

/** By name: markup and styles as they were written, scripts as they were compiled, and the chart library. */
function pageFiles(): Map<string, string> {
  const compiled = fileURLToPath(new URL('../page', import.meta.url))
  const written = fileURLToPath(new URL('../../src/page', import.meta.url))
  const library = dirname(createRequire(import.meta.url).resolve('uplot'))
  const wanted: [folder: string, pattern: RegExp][] = [
    [compiled, /\.js$/],
    [written, /\.(html|css|svg)$/],
    [library, /^uPlot\.(esm\.js|min\.css)$/],
  ]
  return new Map(
    wanted.flatMap(([folder, pattern]) =>
      readdirSync(folder)
        .filter(name => pattern.test(name))
        .map(name => [name, join(folder, name)] as const),
    ),
  )
}
