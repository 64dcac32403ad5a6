/**
 * The HTTP server: metrics, probes and the API, on TCP or a unix socket.
 *
 * It runs on the main thread and knows the switch as a SwitchView, which reads shared memory: whatever a client does
 * here, the thread that moves frames does not notice. It bounds what a client may take: connections, time, header,
 * body. What is asked for passes guard.ts, then access.ts, then the router; what is refused leaves through problem.ts.
 */
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import Fastify, { type FastifyRequest, type RouteOptions } from 'fastify'
import type { HttpConfig } from '../config/config.js'
import type { Captures } from '../control/captures.js'
import type { EventFeed } from '../control/event-bus.js'
import type { SwitchControl } from '../control/switch-control.js'
import type { SwitchView } from '../control/view.js'
import { type Logger, type LogMethod, rateLimited } from '../log.js'
import { readTlsFiles } from '../tls-files.js'
import { UpgradeRoutes } from '../upgrade-routes.js'
import { type Access, AccessControl } from './access.js'
import { auditOf } from './audit.js'
import { captureRoutes } from './capture.js'
import { Connections } from './connections.js'
import { type BrowserUse, isFromOtherSite } from './fetch-site.js'
import { type Door, refusal, securityHeaders } from './guard.js'
import { isOffLoopback, listenOn, parseListen } from './listen.js'
import { type OpenApiDocument, openApiDocument } from './openapi.js'
import { pageRoutes } from './page.js'
import { HttpProblem, pathOf, sendError, sendParseError } from './problem.js'
import type { App } from './routes/app.js'
import { attachmentRoutes } from './routes/attachments.js'
import { docsRoutes } from './routes/docs.js'
import { type EventReaders, eventRoutes } from './routes/events.js'
import { fdbRoutes } from './routes/fdb.js'
import { findingRoutes } from './routes/findings.js'
import { portRoutes } from './routes/ports.js'
import { probeRoutes } from './routes/probes.js'
import { sessionRoutes } from './routes/session.js'
import { switchRoutes } from './routes/switch.js'
import { Sessions } from './sessions.js'
import { type Identity, TokenStore } from './token-store.js'
import { serveUpgrades } from './upgrade.js'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from './zod-compiler.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; set before any handler runs, and undefined for who was turned away at the door. */
    identity: Identity | undefined
  }
  interface FastifyContextConfig {
    /** Default: `read` for GET and HEAD, `control` for the rest. */
    access?: Access
    /** Default: `data`. */
    use?: BrowserUse
  }
}

export interface HttpServer {
  /** `http://127.0.0.1:9676`, or `unix:/run/tapswitch/http.sock`. */
  readonly url: string
  /**
   * A link to the page that gives it the role control, once and soon; null where the page needs none or cannot be
   * opened.
   */
  controlLink(): string | null
  /** Reads tokens and certificates again; what cannot be read stays as it was, and the log says so. */
  reload(): void
  /** Answers what was asked, then lets go of the address; bounded in time. */
  close(): Promise<void>
}

export interface HttpParts {
  readonly view: SwitchView
  /** Without, there is nothing to capture. */
  readonly captures?: Captures
  readonly control: SwitchControl
  readonly events: EventFeed
  readonly config: HttpConfig
  readonly log: Logger
  /** Who else speaks on this listener. */
  readonly upgrades?: UpgradeRoutes
  /** The token that the switch made itself, for programs of its own user. */
  readonly controlToken?: string | undefined
}

const limits = {
  bodyBytes: 64 * 1024,
  headerBytes: 16 * 1024,
  connections: 256,
  /** Past those that have a place: a new connection must be seen before it can take another's, see connections.ts. */
  spareConnections: 16,
  headersMs: 5000,
  requestMs: 10_000,
  tlsHandshakeMs: 5000,
  /** How often Node looks for requests that took too long. */
  timeoutCheckMs: 1000,
  /** A connection on which nothing moves. */
  idleMs: 60_000,
  /** Longer than the minute between two scrapes of a slow scraper. */
  keepAliveMs: 75_000,
  requestsPerSocket: 10_000,
  /** What is under way when the server closes; an answer takes milliseconds. */
  closeMs: 1000,
} as const

/**
 * Starts to serve. Throws OperatorError when the address is malformed or not to be had, or when a token or a
 * certificate cannot be read.
 */
export async function startHttp(parts: HttpParts): Promise<HttpServer> {
  const { config, log, upgrades = new UpgradeRoutes() } = parts
  const address = parseListen(config.listen)
  const offLoopback = isOffLoopback(address)
  const tokens = new TokenStore(config.tokens, log)
  if (offLoopback && tokens.isEmpty) throw new Error('a listener off loopback without a token')
  const warnRefused = rateLimited((fields, message) => log.warn(fields, message), 1000)
  const sessions = new Sessions()
  const { anonymous } = config
  const access = new AccessControl({
    tokens,
    sessions,
    anonymous,
    controlToken: parts.controlToken,
    onRefused: (from, why) => warnRefused({ from, why }, 'a token was refused'),
  })
  const door: Door = {
    kind: 'path' in address ? 'unix' : offLoopback ? 'network' : 'loopback',
    scheme: config.tls === null ? 'http' : 'https',
    allowedHosts: config.allowedHosts,
  }
  const connections = new Connections(limits.connections)
  const { app, readers } = makeApp({ ...parts, door, access, sessions, connections })
  connections.watch(app.server)
  const closeUpgraded = serveUpgrades(app.server, { routes: upgrades, door: () => door, access, log })
  const sizeUp = () => {
    app.server.maxConnections = limits.connections + limits.spareConnections + upgrades.maxConnections
  }
  upgrades.onChange(sizeUp)
  sizeUp()
  const close = () => {
    tokens.close()
    closeUpgraded()
    readers.close()
    return closeApp(app)
  }
  try {
    await app.ready()
    const url = await listenOn(app.server, address, config)
    if (offLoopback && config.tls === null) log.warn({ url }, 'tokens travel unencrypted here; http.tls mends that')
    const controlLink = () =>
      anonymous === 'read' && !('path' in address) ? `${url}/#code=${sessions.issueCode().secret}` : null
    return { url, controlLink, close, reload: () => reload(app.server, config, tokens, log) }
  } catch (error) {
    await close()
    throw error
  }
}

function reload(server: Server, { tls }: HttpConfig, tokens: TokenStore, log: Logger): void {
  tokens.reload()
  if (tls === null) return
  try {
    ;(server as ReturnType<typeof createTlsServer>).setSecureContext(readTlsFiles(tls, 'http.tls'))
  } catch (error) {
    log.error({ err: (error as Error).message }, 'certificate not read again, the one from before stays')
  }
}

interface AppParts extends HttpParts {
  door: Door
  access: AccessControl
  sessions: Sessions
  connections: Pick<Connections, 'earned'>
}

function makeApp(parts: AppParts): {
  app: App
  routes: readonly RouteOptions[]
  readers: EventReaders
} {
  const { view, control, events, captures, config, log, door, access, sessions, connections } = parts
  const guard = ({ raw }: FastifyRequest) => {
    const refused = refusal(raw, door)
    return refused && new HttpProblem(refused.status, refused.code, refused.detail)
  }
  const faults = rateLimited(((fields: object, message: string) => log.error(fields, message)) as LogMethod, 1000)
  const app = Fastify({
    logger: false,
    bodyLimit: limits.bodyBytes,
    routerOptions: { ignoreTrailingSlash: true },
    serverFactory: handler => makeServer(handler, config),
    frameworkErrors: (error, request, reply) => sendError(guard(request) ?? error, request, reply, faults),
    clientErrorHandler: sendParseError,
  }).withTypeProvider<ZodTypeProvider>()

  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler((error: Error, request, reply) => sendError(error, request, reply, faults))
  acceptBodies(app)

  const methods = new Map<string, Set<string>>()
  const routes: RouteOptions[] = []
  app.addHook('onRoute', route => {
    const { url, method } = route
    routes.push(route)
    const known = methods.get(url) ?? new Set<string>()
    methods.set(url, known)
    for (const one of [method].flat()) known.add(one)
  })

  app.decorateRequest('identity')
  app.addHook('onRequest', async (request, reply) => {
    if (request.raw.socket.destroyed) throw new HttpProblem(503, 'interrupted', 'The client is gone.')
    reply.headers(securityHeaders)
    const needed = accessOf(request)
    try {
      const refused = guard(request)
      if (refused !== undefined) throw refused
      if (isFromOtherSite(request.headers, request.routeOptions.config?.use ?? 'data')) throw otherSite()
      request.identity = access.identify(request.raw, needed)
      access.authorize(request.identity, needed)
    } catch (error) {
      // A client that is refused must not keep a connection.
      reply.header('connection', 'close')
      throw error
    }
    if (needed !== 'open') connections.earned(request.raw.socket)
    if (request.is404) throw notFound(request.method, pathOf(request), methods)
  })
  const audit = auditOf(log)
  app.addHook('onResponse', async (request, reply) => audit(request, reply))

  probeRoutes(app, view)
  switchRoutes(app, view, control)
  findingRoutes(app, view)
  portRoutes(app, view, control)
  fdbRoutes(app, view, control)
  attachmentRoutes(app, 'transports', view, control)
  attachmentRoutes(app, 'interfaces', view, control)
  if (captures !== undefined) captureRoutes(app, view, captures)
  sessionRoutes(app, sessions, access)
  docsRoutes(app, routes)
  pageRoutes(app)
  return { app, routes, readers: eventRoutes(app, events) }
}

/** The OpenAPI document of this version, without a switch: nothing is opened, and no handler is called. */
export async function describeApi(): Promise<OpenApiDocument> {
  const unused = {} as Omit<AppParts, 'config' | 'access' | 'door' | 'sessions' | 'connections'>
  const config = { tls: null } as HttpConfig
  const { app, routes } = makeApp({
    ...unused,
    captures: {} as Captures,
    config,
    access: {} as AccessControl,
    sessions: new Sessions(),
    connections: { earned: () => {} },
    door: {} as Door,
  })
  await app.ready()
  return openApiDocument(routes)
}

/**
 * JSON only. A body without a byte is no body, whatever its type is said to be: clients that name a type always do
 * exist.
 */
function acceptBodies(app: App): void {
  app.removeAllContentTypeParsers()
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) done(null, undefined)
    else parse(request, body as string, done)
  })
}

function otherSite(): HttpProblem {
  return new HttpProblem(403, 'wrong-site', 'Requests that a page of another site makes are refused.')
}

/** What is not there may be looked for by whoever may look at all. */
function accessOf({ method, is404, routeOptions }: FastifyRequest): Access {
  const isSafe = is404 || method === 'GET' || method === 'HEAD'
  return routeOptions.config?.access ?? (isSafe ? 'read' : 'control')
}

/** Fastify sets no limits on a server it is given. */
function makeServer(handler: RequestListener, { tls }: HttpConfig): Server {
  const options = {
    requireHostHeader: false,
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: limits.timeoutCheckMs,
  }
  const server =
    tls === null
      ? createServer(options, handler)
      : createTlsServer(
          { ...options, ...readTlsFiles(tls, 'http.tls'), handshakeTimeout: limits.tlsHandshakeMs },
          handler,
        )
  // All that fit into headerBytes: Node.js hides those past 2,000, and what they say would not be checked.
  server.maxHeadersCount = 0
  server.maxRequestsPerSocket = limits.requestsPerSocket
  server.setTimeout(limits.idleMs)
  return server
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

/** `/v1/ports/` is `/v1/ports`, for the router too. */
function matches(url: string, path: string): boolean {
  const wanted = url.split('/')
  const given = path.replace(/(?<=.)\/$/, '').split('/')
  return wanted.length === given.length && wanted.every((part, i) => part.startsWith(':') || part === given[i])
}

/** Fastify leaves a server it was given alone. */
async function closeApp(app: App): Promise<void> {
  const impatience = setTimeout(() => app.server.closeAllConnections(), limits.closeMs)
  try {
    const closed = new Promise<void>(resolve => app.server.close(() => resolve()))
    await app.close()
    await closed
  } finally {
    clearTimeout(impatience)
  }
}
