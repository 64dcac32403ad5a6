/** The API's own description: for programs, and for people. */
import type { RouteOptions } from 'fastify'
import { docsPage, docsPolicy } from '../docs-page.js'
import { openApiDocument } from '../openapi.js'
import type { App } from './app.js'

/** `routes` is complete once the server is ready. */
export function docsRoutes(app: App, routes: readonly RouteOptions[]): void {
  let written: { openapi: string; page: string } | undefined
  const documents = () => {
    if (written === undefined) {
      const document = openApiDocument(routes)
      written = { openapi: JSON.stringify(document), page: docsPage(document) }
    }
    return written
  }

  app.get(
    '/openapi.json',
    {
      schema: {
        operationId: 'getOpenApi',
        tags: ['state'],
        summary: 'This document',
        description: 'OpenAPI 3.1.',
        produces: 'application/json',
      },
    },
    (_request, reply) => reply.type('application/json; charset=utf-8').send(documents().openapi),
  )

  app.get(
    '/docs',
    {
      config: { use: 'page' },
      schema: {
        operationId: 'getDocumentation',
        tags: ['state'],
        summary: 'This document as a page',
        produces: 'text/html',
      },
    },
    (_request, reply) =>
      reply.header('content-security-policy', docsPolicy).type('text/html; charset=utf-8').send(documents().page),
  )
}
