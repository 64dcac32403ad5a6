/**
 * A listener for WebSockets and nothing else, so that guests' browsers need not reach the HTTP server, from where the
 * switch is controlled.
 *
 * It checks what the HTTP server would: the path; `Origin`, where a browser sends it, which must be allowed or be the
 * very host that was asked; and that this host is an address or localhost, because a page can point a name of its own
 * at us (DNS rebinding). A name that is to be the host of pages belongs into `allowedOrigins`. Who asks for anything
 * but an upgrade is told 426.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import type { WebSocketListenConfig } from '../../config/config.js'
import { normalOrigin, parseHost } from '../../config/origin.js'
import { OperatorError } from '../../errors.js'
import { FailureLimit } from '../../failure-limit.js'
import { readTlsFiles } from '../../tls-files.js'
import type { UpgradeRoute } from '../../upgrade-routes.js'
import type { Contain } from '../transport.js'
import { type Refusal, refuse } from './refusal.js'

const limits = {
  headerBytes: 16 * 1024,
  headersMs: 5000,
  tlsHandshakeMs: 5000,
  /** Connections that are not WebSockets yet, or no more. */
  extraConnections: 64,
} as const

export class OwnListener {
  readonly #server: Server
  readonly #failures = new FailureLimit()
  readonly #handle: UpgradeRoute['handle']
  readonly #contain: Contain
  readonly #sockets = new Set<Duplex>()
  #config: WebSocketListenConfig

  /** Throws OperatorError when the address is not to be had. */
  static async open(
    config: WebSocketListenConfig,
    contain: Contain,
    handle: UpgradeRoute['handle'],
  ): Promise<OwnListener> {
    const listener = new OwnListener(config, contain, handle)
    const { host, port } = config.address as NonNullable<WebSocketListenConfig['address']>
    try {
      const listening = once(listener.#server, 'listening')
      listener.#server.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port })
      await listening
      return listener
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const why = code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be listened on (${code})`
      throw new OperatorError(`${host}:${port} ${why}`, { path: 'listen', value: `${host}:${port}`, cause: error })
    }
  }

  private constructor(config: WebSocketListenConfig, contain: Contain, handle: UpgradeRoute['handle']) {
    this.#config = config
    this.#contain = contain
    this.#handle = handle
    const options = {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.headersMs,
      connectionsCheckingInterval: 1000,
    }
    this.#server =
      config.tls === null
        ? createServer(options)
        : createTlsServer({ ...options, ...readTlsFiles(config.tls, 'tls'), handshakeTimeout: limits.tlsHandshakeMs })
    this.#server.on('request', (_request, response) => {
      response.writeHead(426, { Connection: 'close', Upgrade: 'websocket', 'Content-Length': 0 }).end()
    })
    // What fails ends that connection, and no other.
    this.#server.on('upgrade', (request, socket, head) => {
      if (!this.#contain(() => this.#upgrade(request, socket, head))) socket.destroy()
    })
    this.#server.on('connection', (socket: Duplex) => {
      if (!this.#contain(() => this.#track(socket))) socket.destroy()
    })
    this.#server.on('clientError', (_error, socket) => socket.destroy())
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy())
    this.update(config)
  }

  get url(): string {
    const { port, address, family } = this.#server.address() as AddressInfo
    const host = family === 'IPv6' ? `[${address}]` : address
    return `${this.#config.tls === null ? 'ws' : 'wss'}://${host}:${port}${this.#config.path}`
  }

  update(config: WebSocketListenConfig): void {
    this.#config = config
    this.#server.maxConnections = config.maxPeers + limits.extraConnections
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  #track(socket: Duplex): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    const address = request.socket.remoteAddress ?? ''
    const refusal = this.#refusal(request, address)
    if (refusal !== null) {
      refuse(socket, refusal)
      return
    }
    this.#handle(request, socket, head, {
      address,
      token: /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1],
      refused: () => {
        this.#failures.failed(address)
        return this.#failures.waitSeconds(address) === 0
      },
    })
  }

  #refusal(request: IncomingMessage, address: string): Refusal | null {
    const { path, allowedOrigins, tls } = this.#config
    // An offer of another protocol, such as h2c by `curl --http2`.
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
      return { status: 426, code: 'upgrade-required', detail: 'This listener speaks WebSocket and nothing else.' }
    }
    if ((request.url ?? '').split('?', 1)[0] !== path) {
      return { status: 404, code: 'not-found', detail: 'There is nothing at this path.' }
    }
    if (this.#failures.waitSeconds(address) > 0) {
      return { status: 429, code: 'too-many-failures', detail: 'Too many wrong tokens came from this address.' }
    }
    if (request.headers.origin === undefined) return null
    const origin = normalOrigin(request.headers.origin)
    if (allowedOrigins.includes(origin)) return null
    const scheme = tls === null ? 'http' : 'https'
    const host = parseHost(request.headers.host ?? '', scheme)
    const isOurs = host !== undefined && origin === `${scheme}://${host.authority}` && hasNoName(host.name)
    return isOurs ? null : { status: 403, code: 'wrong-origin', detail: 'Pages of this origin may not connect.' }
  }
}

/** An address or localhost, which no page can point elsewhere. */
function hasNoName(name: string): boolean {
  return name === 'localhost' || isIP(name) !== 0
}
