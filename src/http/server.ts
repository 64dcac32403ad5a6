/**
 * The HTTP server: metrics, probes and the API, on loopback or a unix socket.
 *
 * It runs on the main thread and knows the switch as a SwitchView, which reads shared memory: whatever a client does here,
 * the thread that moves frames does not notice. It bounds what a client may take: connections, time, header, body.
 * What is asked for passes guard.ts first, then the router; what is refused leaves through problem.ts.
 */
import Fastify, { type FastifyRequest } from 'fastify'
import type { SwitchView } from '../control/view.js'
import { type Logger, type LogMethod, rateLimited } from '../log.js'
import { refusal, securityHeaders } from './guard.js'
import { listenOn, parseListen } from './listen.js'
import { HttpProblem, pathOf, sendError, sendParseError } from './problem.js'
import { type App, apiRoutes, probeRoutes } from './routes.js'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from './zod-compiler.js'

export interface HttpServer {
  /** `http://127.0.0.1:9676`, or `unix:/run/tapswitch/http.sock`. */
  readonly url: string
  /** Answers what was asked, then lets go of the address; bounded in time. */
  close(): Promise<void>
}

const limits = {
  bodyBytes: 64 * 1024,
  headerBytes: 16 * 1024,
  connections: 256,
  headersMs: 5000,
  requestMs: 10_000,
  /** A connection on which nothing moves. */
  idleMs: 60_000,
  /** Longer than the minute between two scrapes of a slow scraper. */
  keepAliveMs: 75_000,
  requestsPerSocket: 10_000,
  /** What is under way when the server closes; an answer takes milliseconds. */
  closeMs: 1000,
} as const

/**
 * Serves `view` at `listen`: `127.0.0.1:9676`, `[::1]:9676`, `localhost:9676` (IPv4) or an absolute unix socket path.
 * Throws OperatorError when the address is malformed, not loopback, or not to be had.
 */
export async function startHttp(view: SwitchView, listen: string, log: Logger): Promise<HttpServer> {
  const address = parseListen(listen)
  const app = makeApp(view, 'path' in address, log)
  app.server.maxConnections = limits.connections
  try {
    await app.ready()
    const url = await listenOn(app.server, address)
    return { url, close: () => close(app) }
  } catch (error) {
    await app.close()
    throw error
  }
}

function makeApp(view: SwitchView, onUnixSocket: boolean, log: Logger): App {
  const guard = ({ headers }: FastifyRequest) => {
    const refused = refusal(headers, onUnixSocket)
    return refused && new HttpProblem(refused.status, refused.code, refused.detail)
  }
  const faults = rateLimited(((fields: object, message: string) => log.error(fields, message)) as LogMethod, 1000)
  const app = Fastify({
    logger: false,
    bodyLimit: limits.bodyBytes,
    connectionTimeout: limits.idleMs,
    keepAliveTimeout: limits.keepAliveMs,
    requestTimeout: limits.requestMs,
    maxRequestsPerSocket: limits.requestsPerSocket,
    http: { headersTimeout: limits.headersMs, maxHeaderSize: limits.headerBytes, requireHostHeader: false },
    frameworkErrors: (error, request, reply) => sendError(guard(request) ?? error, request, reply, faults),
    clientErrorHandler: sendParseError,
  }).withTypeProvider<ZodTypeProvider>()

  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler((error: Error, request, reply) => sendError(error, request, reply, faults))

  const methods = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set<string>()
    methods.set(url, known)
    for (const one of [method].flat()) known.add(one)
  })

  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(securityHeaders)
    done(guard(request) ?? (request.is404 ? notFound(request.method, pathOf(request), methods) : undefined))
  })

  probeRoutes(app, view)
  apiRoutes(app, view)
  return app
}

/** The router knows only that nothing matched; a path that other methods have says which. */
function notFound(method: string, path: string, methods: ReadonlyMap<string, ReadonlySet<string>>): HttpProblem {
  for (const [url, known] of methods) {
    if (!matches(url, path)) continue
    const allow = [...known].sort().join(', ')
    return new HttpProblem(405, 'method-not-allowed', `${path} has no ${method}, only ${allow}.`, { allow })
  }
  return new HttpProblem(404, 'not-found', `There is nothing at ${path}.`)
}

function matches(url: string, path: string): boolean {
  const wanted = url.split('/')
  const given = path.split('/')
  return wanted.length === given.length && wanted.every((part, i) => part.startsWith(':') || part === given[i])
}

async function close(app: App): Promise<void> {
  const impatience = setTimeout(() => app.server.closeAllConnections(), limits.closeMs)
  try {
    await app.close()
  } finally {
    clearTimeout(impatience)
  }
}
