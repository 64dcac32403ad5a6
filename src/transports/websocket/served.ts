/**
 * WebSocket, served: each client is a port.
 *
 * Clients come from the HTTP server's listener or from one of our own (own-listener.ts); either has checked `Host` and
 * `Origin`. Here a client shows its token and is counted against the limits. What is refused costs one short answer and
 * leaves nothing behind. A client that says it is a switch proves it with its first message (identity.ts); where that
 * switch is linked already, this link ends.
 *
 * Browsers cannot set headers, so a token may come as the first subprotocol, too. Whatever subprotocol a client asks
 * for first is granted, since a browser closes a connection on which none of its own is; frames are the same on all.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { WebSocketListenConfig } from '../../config/config.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import { addressKey } from '../../failure-limit.js'
import { readSecret, SecretDigest } from '../../secret.js'
import type { UpgradeClient } from '../../upgrade-routes.js'
import { egressPolicy } from '../policy.js'
import { JoinedPorts } from '../stream/joined.js'
import type { Facts, Transport, TransportContext } from '../transport.js'
import { type Hello, helloHeaders, readHello } from './hello.js'
import { drawNonce, type Handshake } from './identity.js'
import { Link } from './link.js'
import { CHECK_MS, CLOSE_MS, MAX_MESSAGE, WEBSOCKET } from './options.js'
import { OwnListener } from './own-listener.js'
import { checkProofText } from './proof-text.js'
import { type Refusal, refuse } from './refusal.js'
import type { SwitchLink, SwitchLinks } from './switch-links.js'
import { Tally } from './tally.js'

/** For each client: its connection and both ends of its port's socket pair. */
const DESCRIPTORS = 3
const NO_DESCRIPTORS =
  'a client is refused because there are no open files left for this transport: raise the limit (LimitNOFILE=, ulimit -n)'
/** IANA registry of WebSocket close codes. */
const TRY_AGAIN_LATER = 1013

interface Client {
  readonly link: Link
  readonly hello: Hello | null
}

/** What a client says of itself, and how it is to prove that. */
interface Introduction {
  readonly hello: Hello | null
  readonly handshake: Handshake | undefined
}

export class ServedWebSocket implements Transport<WebSocketListenConfig> {
  config: WebSocketListenConfig
  readonly #context: TransportContext
  readonly #switches: SwitchLinks
  readonly #joined: JoinedPorts
  readonly #tally: Tally
  readonly #token: SecretDigest | null
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE,
  })
  readonly #clients = new Set<Client>()
  /** Of requests that are being answered, where the client is to prove which switch it is. */
  readonly #handshakes = new WeakMap<IncomingMessage, Handshake>()
  readonly #perAddress = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  #listener: OwnListener | null = null
  #unregister = () => {}
  #closed = false

  /** Throws OperatorError; nothing is left behind then. */
  static async open(config: WebSocketListenConfig, context: TransportContext, switches: SwitchLinks) {
    const transport = new ServedWebSocket(config, context, switches)
    try {
      await transport.#listen()
      return transport
    } catch (error) {
      await transport.close()
      throw error
    }
  }

  private constructor(config: WebSocketListenConfig, context: TransportContext, switches: SwitchLinks) {
    this.config = config
    this.#context = context
    this.#switches = switches
    this.#token = config.token === null ? null : new SecretDigest(readSecret(config.token, 'token'))
    const policy = egressPolicy(config.port)
    this.#joined = new JoinedPorts({ name: config.name, kind: WEBSOCKET, policy }, context)
    this.#tally = new Tally(context.send)
    this.#server.on('headers', (headers, request) => {
      const handshake = this.#handshakes.get(request) ?? null
      for (const [name, value] of Object.entries(helloHeaders(this.#hello(handshake))))
        headers.push(`${name}: ${value}`)
    })
    this.#timer = setInterval(() => this.#check(), CHECK_MS).unref()
  }

  get where(): string {
    return this.#listener?.url ?? this.config.path
  }

  facts(): Facts {
    const switches = [...this.#clients].flatMap(({ hello }) => (hello === null ? [] : [described(hello)]))
    return { clients: this.#clients.size, switches }
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    return this.#joined.spec(index)
  }

  message(message: EndpointMessage): void {
    this.#joined.message(message)
  }

  canBecome(config: WebSocketListenConfig): boolean {
    return config.role === 'listen' && JSON.stringify(rigid(config)) === JSON.stringify(rigid(this.config))
  }

  update(config: WebSocketListenConfig): void {
    this.config = config
    this.#joined.update(egressPolicy(config.port))
    if (this.#listener === null) this.#register()
    else this.#listener.update(config)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#timer)
    this.#unregister()
    this.#goodbye()
    await Promise.race([this.#allGone(), new Promise(resolve => setTimeout(resolve, 2 * CLOSE_MS).unref())])
    await this.#listener?.close()
    this.#joined.close()
  }

  async #listen(): Promise<void> {
    const { config } = this
    if (config.address === null) this.#register()
    else
      this.#listener = await OwnListener.open(config, this.#context.contain, (request, socket, head, client) =>
        this.#handle(request, socket, head, client),
      )
  }

  #register(): void {
    this.#unregister()
    const { path, allowedOrigins, maxPeers } = this.config
    this.#unregister = this.#context.upgrades.register(path, {
      handle: (request, socket, head, client) => {
        if (!this.#context.contain(() => this.#handle(request, socket, head, client))) socket.destroy()
      },
      allowedOrigins,
      access: this.#token === null ? 'guest' : 'own',
      maxConnections: maxPeers,
      closing: () => void this.#context.contain(() => this.#goodbye()),
    })
  }

  #handle(request: IncomingMessage, socket: Duplex, head: Buffer, client: UpgradeClient): void {
    const hello = readHello(request.headers)
    const refusal = this.#admit(request, client)
    if (refusal !== null) {
      refuse(socket, refusal)
      return
    }
    const { instance } = this.#switches
    if (hello?.instance === instance) {
      refuse(socket, { status: 409, code: 'loop', detail: 'This link is refused: it is this switch itself.' })
      return
    }
    if (!this.#context.descriptors.take(DESCRIPTORS)) {
      this.#tally.count('descriptor-limit')
      this.#context.findings.raise({ code: 'descriptor-limit', message: NO_DESCRIPTORS })
      refuse(socket, {
        status: 503,
        code: 'descriptor-limit',
        detail: 'The switch has no open files left for another client.',
      })
      return
    }
    if (hello !== null && hello.nonce !== '') {
      this.#handshakes.set(request, { dialler: hello, server: { instance, nonce: drawNonce() } })
    }
    const address = addressKey(client.address)
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1)
    const left = () => {
      this.#context.descriptors.give(DESCRIPTORS)
      const count = (this.#perAddress.get(address) ?? 1) - 1
      if (count === 0) this.#perAddress.delete(address)
      else this.#perAddress.set(address, count)
    }
    // Answers a malformed request by itself, and closes the socket.
    socket.once('close', () => void this.#context.contain(left))
    this.#server.handleUpgrade(request, socket, head, ws => {
      try {
        this.#couple(ws, socket, peerName(request, client, hello), { hello, handshake: this.#handshakes.get(request) })
      } catch {
        // There are no descriptors for its port. The client is told to come back, and others are served.
        this.#tally.count('peer-limit')
        refuseOpen(ws)
      }
    })
  }

  #admit(request: IncomingMessage, client: UpgradeClient): Refusal | null {
    if (this.#closed) return { status: 503, code: 'closing', detail: 'This transport is being closed.' }
    if (this.#token !== null) {
      const presented = client.token ?? firstSubprotocol(request)
      if (presented === undefined || !this.#token.matches(presented)) {
        this.#tally.count('unauthorized')
        const patient = presented === undefined || client.refused()
        return patient
          ? { status: 401, code: 'unauthorized', detail: 'A token is needed, as bearer token or as first subprotocol.' }
          : { status: 429, code: 'too-many-failures', detail: 'Too many wrong tokens came from this address.' }
      }
    }
    const { maxPeers, maxPeersPerAddress } = this.config
    const fromThere = this.#perAddress.get(addressKey(client.address)) ?? 0
    if (this.#clients.size < maxPeers && fromThere < maxPeersPerAddress) return null
    this.#tally.count('peer-limit')
    if (this.#clients.size >= maxPeers) {
      this.#context.findings.raise({
        code: 'peer-limit',
        message: `no more than ${maxPeers} clients are served: raise maxPeers`,
      })
    }
    return this.#clients.size < maxPeers
      ? { status: 429, code: 'address-limit', detail: 'There are too many connections from this address.' }
      : { status: 503, code: 'peer-limit', detail: 'There are as many connections as this transport may have.' }
  }

  #couple(ws: WebSocket, socket: Duplex, peer: string, { hello, handshake }: Introduction): void {
    let claim: SwitchLink | undefined
    const takesProof = (text: string) => {
      const isProof = handshake && checkProofText(text, handshake)
      if (!isProof || hello === null) return isProof !== undefined
      const place = this.#switches.claim(hello, 'served', why => link.close(why))
      if (typeof place === 'string') link.close(`this link is refused: ${place}`)
      else claim = place
      return true
    }
    const { pingSeconds, idleSeconds, textPings } = this.config
    const link = new Link(
      {
        ws,
        socket,
        options: { pingMs: pingSeconds * 1000, idleMs: idleSeconds * 1000, textPings },
        tally: this.#tally,
        contain: this.#context.contain,
        openPort: handlers => this.#joined.open(peer, handlers),
        takesProof: handshake && takesProof,
        ended: () => {
          claim?.release()
          this.#clients.delete(client)
        },
      },
      performance.now(),
    )
    const client = { link, hello }
    this.#clients.add(client)
  }

  #check(): void {
    const now = performance.now()
    for (const { link } of this.#clients) link.check(now)
    this.#tally.report()
  }

  #goodbye(): void {
    for (const { link } of this.#clients) link.close('the switch is closing this transport')
  }

  async #allGone(): Promise<void> {
    while (this.#clients.size > 0) await new Promise(resolve => setTimeout(resolve, 5).unref())
  }

  #hello(handshake: Handshake | null): Hello {
    const { maxFrameSize } = this.config.port
    const { instance, identity } = this.#switches
    const proven = {
      nonce: handshake?.server.nonce ?? '',
      proof: handshake === null ? '' : identity.prove(handshake, 'server'),
    }
    return { instance, link: '', ...proven, name: this.#context.switchName(), maxFrameSize }
  }
}

/** Closes a connection that is open already, for want of resources (status 1013, "try again later"). */
function refuseOpen(ws: WebSocket): void {
  ws.on('error', () => {})
  ws.close(TRY_AGAIN_LATER, 'the switch cannot make another port')
  setTimeout(() => ws.terminate(), CLOSE_MS).unref()
}

function firstSubprotocol(request: IncomingMessage): string | undefined {
  const offered = request.headers['sec-websocket-protocol']
  return offered?.split(',', 1)[0]?.trim()
}

function peerName(request: IncomingMessage, { address }: UpgradeClient, hello: Hello | null): string {
  const { remotePort } = request.socket
  const at =
    address === '' ? 'a unix socket' : address.includes(':') ? `[${address}]:${remotePort}` : `${address}:${remotePort}`
  return hello === null ? at : `${hello.name} at ${at}`
}

function described({ name, maxFrameSize }: Hello): string {
  return maxFrameSize === null ? name : `${name} (frames of up to ${maxFrameSize} bytes)`
}

/** What cannot change while it listens; the rest can. */
function rigid({ path, address, tls, token }: WebSocketListenConfig): unknown {
  return [path, address, tls, token]
}
