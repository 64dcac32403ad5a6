import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import type { Captures } from '#src/control/captures.js'
import { switchEventTypes } from '#src/control/event-bus.js'
import { apiReference } from '#src/http/api-reference.js'
import * as captureSchemas from '#src/http/capture.js'
import { examples } from '#src/http/examples.js'
import type { OpenApiDocument, Operation } from '#src/http/openapi.js'
import * as schemas from '#src/http/schemas.js'
import { describeApi, type HttpServer, startHttp } from '#src/http/server.js'
import { z } from '#src/http/zod-compiler.js'
import { type Answer, ask } from './client.js'
import { fakeView, httpConfig, partsOf, recordingLog } from './fake-view.js'

const root = new URL('../../../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

describe('the OpenAPI document', () => {
  let server: HttpServer
  let document: OpenApiDocument
  let answer: Answer

  before(async () => {
    const config = httpConfig('127.0.0.1:0')
    server = await startHttp({ ...partsOf(fakeView()), captures: {} as Captures, config, log: recordingLog() })
    answer = await ask(server.url, '/openapi.json')
    document = JSON.parse(answer.body)
  })
  after(() => server.close())

  const operations = (): [string, string, Operation][] =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]): [string, string, Operation] => [path, method, operation]),
    )

  it('passes the strictest set of rules of the linter, without a warning', async () => {
    const config = await createConfig({ extends: ['recommended-strict'] })
    const problems = await lintFromString({ source: answer.body, config, absoluteRef: '/openapi.json' })
    assert.deepEqual(
      problems.map(({ ruleId, message, location }) => [ruleId, message, location[0]?.pointer]),
      [],
    )
  })

  it('has every route of the contract', () => {
    assert.equal(document.openapi, '3.1.0')
    assert.match(answer.headers['content-type'] ?? '', /^application\/json/)
    const routes = operations().map(([path, method]) => `${method.toUpperCase()} ${path}`)
    for (const [methods, path] of [
      ['GET', '/metrics'],
      ['GET', '/healthz'],
      ['GET', '/readyz'],
      ['GET', '/openapi.json'],
      ['GET', '/docs'],
      ['GET PATCH', '/v1/switch'],
      ['GET', '/v1/ports'],
      ['GET PATCH DELETE', '/v1/ports/{id}'],
      ['GET POST', '/v1/fdb'],
      ['GET DELETE', '/v1/fdb/{mac}'],
      ['POST', '/v1/fdb/flush'],
      ['GET POST', '/v1/interfaces'],
      ['GET DELETE', '/v1/interfaces/{name}'],
      ['GET POST DELETE', '/v1/interfaces/{name}/forwards'],
      ['GET POST', '/v1/transports'],
      ['GET DELETE', '/v1/transports/{name}'],
      ['GET', '/v1/events'],
      ['GET', '/v1/capture'],
      ['POST', '/v1/config/save'],
    ] as const) {
      for (const method of methods.split(' ')) assert.ok(routes.includes(`${method} ${path}`), `${method} ${path}`)
    }
  })

  it('says what each operation is for, what it takes and what it answers', () => {
    for (const [path, method, { summary, parameters = [], requestBody, responses }] of operations()) {
      const where = `${method} ${path}`
      assert.ok(summary.length > 5, where)
      for (const { name, description } of parameters) assert.ok(description.length > 5, `${where} ${name}`)
      for (const { schema, example } of Object.values(requestBody?.content ?? {})) {
        assert.ok(schema, where)
        assert.ok(example !== undefined || requestBody?.required === false, `${where} has an example of its body`)
      }
      const json = Object.values(responses).flatMap(({ content = {} }) =>
        Object.entries(content as Record<string, { example?: unknown }>).filter(([type]) => /json$/.test(type)),
      )
      if (path !== '/openapi.json') {
        for (const [, { example }] of json) assert.ok(example !== undefined, `${where} has an example of its answer`)
      }
      for (const status of ['400', '403', '421']) assert.ok(responses[status], `${where} ${status}`)
    }
  })

  it('asks for a token everywhere but at the probes and where a code is exchanged', () => {
    const open = operations().filter(([, , { security }]) => Array.isArray(security) && security.length === 0)
    assert.deepEqual(open.map(([path, method]) => `${method} ${path}`).sort(), [
      'get /healthz',
      'get /readyz',
      'post /v1/session',
    ])
  })

  it('has examples that its schemas allow', () => {
    const byId = new Map(
      Object.values({
        ...schemas,
        captureListSchema: captureSchemas.captureListSchema,
        captureSchema: captureSchemas.captureSchema,
      }).map((schema): [string, z.ZodType] => [z.globalRegistry.get(schema)?.id ?? '', schema]),
    )
    for (const [id, example] of Object.entries(examples)) {
      const schema = byId.get(id)
      assert.ok(schema, id)
      assert.deepEqual(schema.parse(example), example, id)
    }
  })

  it('is there as a page that needs nothing from elsewhere and runs no script', async () => {
    const page = await ask(server.url, '/docs')
    assert.equal(page.status, 200)
    assert.equal(page.headers['content-type'], 'text/html; charset=utf-8')
    assert.match(String(page.headers['content-security-policy']), /^default-src 'none'; style-src 'sha256-/)
    assert.doesNotMatch(page.body, /<script|src=|url\(|https?:\/\/(?!json-schema)/)
    for (const [path, method, { operationId }] of operations()) {
      assert.ok(page.body.includes(`id="${operationId}"`), `${method} ${path}`)
    }
    const anchors = [...page.body.matchAll(/href="#([^"]+)"/g)].map(([, anchor]) => anchor)
    for (const anchor of anchors) assert.ok(page.body.includes(`id="${anchor}"`), anchor)
  })

  it('is the reference in docs/api.md (tapswitch openapi --markdown)', () => {
    const [, reference] = /<!-- reference -->\n([\s\S]*?)\n<!-- \/reference -->/.exec(read('docs/api.md')) ?? []
    assert.equal(reference, apiReference(document))
  })

  it('needs no switch to be made', async () => {
    assert.deepEqual(JSON.parse(JSON.stringify(await describeApi())), document)
  })
})

describe('docs/api.md', () => {
  const text = read('docs/api.md')
  const table = text.slice(text.indexOf('## Errors'), text.indexOf('## Limits'))

  it('explains every code of a problem', () => {
    const sources = readdirSync(new URL('src/', root), { recursive: true, encoding: 'utf8' })
      .filter(path => /^http\/.*\.ts$/.test(path))
      .map(path => read(`src/${path}`))
      .join('\n')
    const thrown = [...sources.matchAll(/HttpProblem\(\s*\d{3},\s*'([a-z-]+)'/g)].map(([, code]) => code as string)
    const refused = [...read('src/control/switch-control.ts').matchAll(/^ {2}\| '([a-z-]+)'$/gm)].map(
      ([, code]) => code as string,
    )
    const described = [...sources.matchAll(/problem\(\w+, '([a-z-]+)'/g)].map(([, code]) => code as string)
    const codes = [...new Set([...thrown, ...refused, ...described])]
    assert.ok(codes.length > 20, String(codes))
    assert.deepEqual(
      codes.filter(code => !table.includes(`\`${code}\``)),
      [],
    )
  })

  it('lists every type of event', () => {
    const events = text.slice(text.indexOf('## Events'), text.indexOf('## Errors'))
    const names = events.replace(
      /`(transport|interface)-added`, `-removed`, `-changed`/g,
      '`$1-added` `$1-removed` `$1-changed`',
    )
    assert.deepEqual(
      switchEventTypes.filter(type => !names.includes(`\`${type}\``)),
      [],
    )
  })
})
