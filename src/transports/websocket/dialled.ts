/**
 * WebSocket, dialled: one port for one far end, another switch or any relay that sends each message to everybody else.
 *
 *     idle --[back-off]--> dialling --opened--> up --ended--> idle
 *
 * The port is there from the start, down until the far end answered, and stays the same whenever it comes back. Changes
 * are reported, failures once for each reason. It goes on for ever: a far end that refuses us may be configured anew.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import type { WebSocketConnectConfig } from '../../config/config.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import { readSecret } from '../../secret.js'
import { forwardSecrecy, readPem } from '../../tls-files.js'
import { parseMac } from '../../wire/ethernet.js'
import { egressPolicy } from '../policy.js'
import { Backoff } from '../stream/backoff.js'
import { JoinedPorts } from '../stream/joined.js'
import { contained, type Facts, type Transport, type TransportContext } from '../transport.js'
import { type Hello, helloHeaders, readHello } from './hello.js'
import { drawNonce, type Handshake, isProven } from './identity.js'
import { Link } from './link.js'
import { CHECK_MS, CLOSE_MS, MAX_MESSAGE, WEBSOCKET } from './options.js'
import { proofText } from './proof-text.js'
import type { SwitchLink, SwitchLinks } from './switch-links.js'
import { Tally } from './tally.js'

/** TCP, TLS and the upgrade together. */
const HANDSHAKE_MS = 10_000
/** A connection that ended sooner counts as one more failure. */
const LASTING_MS = 5000
/** Of the body of a refusal. */
const REFUSAL_BYTES = 1024

interface Connection {
  readonly link: Link
  readonly hello: Hello | null
}

/** One attempt. */
interface Call {
  readonly nonce: string
  readonly dialledAt: number
}

export class DialledWebSocket implements Transport<WebSocketConnectConfig> {
  config: WebSocketConnectConfig
  /** Without what a query may hold. */
  readonly where: string
  readonly #context: TransportContext
  readonly #switches: SwitchLinks
  readonly #joined: JoinedPorts
  readonly #tally: Tally
  readonly #token: string | null
  readonly #ca: Buffer | null
  /** The same for every attempt, so that the far end knows a successor from a second link. */
  readonly #linkId = crypto.randomUUID()
  readonly #backoff = new Backoff()
  readonly #timer: NodeJS.Timeout
  #retry: NodeJS.Timeout | undefined
  #dialling: WebSocket | null = null
  #up: Connection | null = null
  /** Why the last attempt failed or the last connection ended. */
  #trouble: string | null = null
  #closed = false

  /** Throws OperatorError when the token or the certificate cannot be read. */
  constructor(config: WebSocketConnectConfig, context: TransportContext, switches: SwitchLinks) {
    this.config = config
    const { protocol, host, pathname } = new URL(config.connect)
    this.where = `${protocol}//${host}${pathname}`
    this.#context = context
    this.#switches = switches
    this.#token = config.token === null ? null : readSecret(config.token, 'token')
    this.#ca = config.ca === null ? null : readPem(config.ca, 'ca')
    const staticAddresses = config.port.fdb.static.map(mac => parseMac(mac) as number)
    const policy = egressPolicy(config.port)
    this.#joined = new JoinedPorts(
      { name: config.name, kind: WEBSOCKET, policy, staticAddresses, lasting: [config.name] },
      context,
    )
    this.#tally = new Tally(context.send)
    this.#timer = setInterval(() => this.#check(), CHECK_MS).unref()
    this.#retry = setTimeout(() => this.#dial(), 0)
  }

  facts(): Facts {
    const hello = this.#up?.hello
    return {
      connected: this.#up !== null,
      remoteSwitch: hello?.name ?? null,
      remoteMaxFrameSize: hello?.maxFrameSize ?? null,
      trouble: this.#trouble,
    }
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    return this.#joined.spec(index)
  }

  message(message: EndpointMessage): void {
    this.#joined.message(message)
  }

  canBecome(config: WebSocketConnectConfig): boolean {
    return config.role === 'connect' && JSON.stringify(rigid(config)) === JSON.stringify(rigid(this.config))
  }

  update(config: WebSocketConnectConfig): void {
    this.config = config
    this.#joined.update(egressPolicy(config.port))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#retry)
    clearInterval(this.#timer)
    this.#dialling?.terminate()
    this.#up?.link.close('the switch is closing this transport')
    const deadline = performance.now() + 2 * CLOSE_MS
    while (this.#up !== null && performance.now() < deadline) await new Promise(resolve => setTimeout(resolve, 5))
    this.#joined.close()
  }

  #dial(): void {
    const hello = this.#hello()
    const ws = new WebSocket(this.config.connect, {
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE,
      handshakeTimeout: HANDSHAKE_MS,
      followRedirects: false,
      ...forwardSecrecy,
      ...(this.#ca && { ca: this.#ca }),
      headers: {
        ...helloHeaders(hello),
        ...(this.#token === null ? {} : { Authorization: `Bearer ${this.#token}` }),
      },
    })
    this.#dialling = ws
    const { nonce } = hello
    const dialledAt = performance.now()
    let answer: IncomingMessage | undefined
    ws.once('upgrade', response => {
      answer = response
    })
    // Whatever fails here, this attempt is over, and another is made.
    const failed = () => {
      ws.terminate()
      this.#failed(ws, 'a fault of the switch')
    }
    const { contain } = this.#context
    ws.once('unexpected-response', (_request, response) => {
      readRefusal(response).then(why => {
        this.#failed(ws, why)
        ws.terminate()
      })
    })
    ws.once(
      'open',
      contained(contain, () => this.#opened(ws, answer as IncomingMessage, { nonce, dialledAt }), failed),
    )
    ws.on(
      'error',
      contained(contain, (error: Error) => this.#failed(ws, explained(error)), failed),
    )
  }

  #opened(ws: WebSocket, answer: IncomingMessage, call: Call): void {
    const hello = readHello(answer.headers)
    let link: Link | undefined
    const claim = this.#claim(hello, call, why => link?.close(why))
    if (typeof claim === 'string') {
      ws.close(1000, claim.slice(0, 120))
      setTimeout(() => ws.terminate(), CLOSE_MS).unref()
      this.#failed(ws, claim)
      return
    }
    if (hello !== null && hello.nonce !== '') ws.send(proofText(this.#switches.identity, this.#handshake(hello, call)))
    const { pingSeconds, idleSeconds, textPings, name } = this.config
    const since = performance.now()
    this.#dialling = null
    link = new Link(
      {
        ws,
        socket: answer.socket as Duplex,
        options: { pingMs: pingSeconds * 1000, idleMs: idleSeconds * 1000, textPings },
        tally: this.#tally,
        contain: this.#context.contain,
        openPort: handlers =>
          this.#joined.open(hello === null ? this.where : `${hello.name} at ${this.where}`, handlers, name),
        ended: why => {
          claim?.release()
          if (performance.now() - since >= LASTING_MS) this.#backoff.reset()
          this.#ended(why)
        },
      },
      since,
    )
    this.#up = { link, hello }
    this.#trouble = null
    this.#announce(hello)
  }

  /** The place of the far end among the switches, where it proves to be one. Null: it takes none. */
  #claim(hello: Hello | null, call: Call, end: (why: string) => void): SwitchLink | string | null {
    if (hello === null || hello.nonce === '') return null
    return isProven(this.#handshake(hello, call), 'server', hello.proof)
      ? this.#switches.claim(hello, 'dialled', end, call.dialledAt)
      : null
  }

  #handshake({ instance, nonce: theirs }: Hello, { nonce }: Call): Handshake {
    return { dialler: { instance: this.#switches.instance, nonce }, server: { instance, nonce: theirs } }
  }

  #announce(hello: Hello | null): void {
    const { maxFrameSize } = this.config.port
    const details = { remoteSwitch: hello?.name ?? null, remoteMaxFrameSize: hello?.maxFrameSize ?? null }
    const who = hello === null ? '' : `, which is the switch "${hello.name}"`
    this.#context.report({ level: 'info', event: 'connected', message: `connected to ${this.where}${who}`, details })
    const theirs = hello?.maxFrameSize ?? maxFrameSize
    if (theirs === maxFrameSize) return
    const message = `frames of more than ${Math.min(theirs, maxFrameSize)} bytes do not pass: ours may have ${maxFrameSize}, those of "${hello?.name}" ${theirs}`
    this.#context.report({ level: 'warn', event: 'frame-size-mismatch', message, details })
  }

  /** An attempt came to nothing. */
  #failed(ws: WebSocket, why: string): void {
    if (this.#dialling !== ws) return
    this.#dialling = null
    if (this.#closed) return
    if (why !== this.#trouble) {
      const message = `cannot connect to ${this.where}: ${why}; trying on`
      this.#context.report({ level: 'warn', event: 'connect-failed', message })
    }
    this.#trouble = why
    this.#dialLater()
  }

  #ended(why: string): void {
    this.#up = null
    if (this.#closed) return
    this.#context.report({
      level: 'warn',
      event: 'disconnected',
      message: `no longer connected to ${this.where}: ${why}`,
    })
    this.#trouble = why
    this.#dialLater()
  }

  #dialLater(): void {
    this.#retry = setTimeout(() => this.#dial(), this.#backoff.next())
  }

  #check(): void {
    this.#up?.link.check(performance.now())
    this.#tally.report()
  }

  #hello(): Hello {
    const { maxFrameSize } = this.config.port
    const { instance } = this.#switches
    const name = this.#context.switchName()
    return { instance, link: this.#linkId, nonce: drawNonce(), proof: '', name, maxFrameSize }
  }
}

/** What a far end said that did not upgrade. Bounded, and printable. */
async function readRefusal(response: IncomingMessage): Promise<string> {
  let body = ''
  response.setEncoding('utf8')
  try {
    for await (const piece of response) {
      body += piece
      if (body.length >= REFUSAL_BYTES) break
    }
  } catch {
    // What came before it broke off will do.
  }
  const said = detailOf(body)
    .replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '')
    .slice(0, 200)
  return `it answers ${response.statusCode}${said === '' ? '' : `: ${said}`}`
}

function detailOf(body: string): string {
  try {
    const { detail } = JSON.parse(body) as { detail?: unknown }
    return typeof detail === 'string' ? detail : ''
  } catch {
    return ''
  }
}

function explained(error: Error & { code?: string }): string {
  return error.code === undefined || error.message.includes(error.code)
    ? error.message || 'no answer'
    : `${error.message} (${error.code})`
}

/** What cannot change while it is open; the rest can. */
function rigid({ connect, token, ca, pingSeconds, idleSeconds, textPings, port }: WebSocketConnectConfig): unknown {
  return [connect, token, ca, pingSeconds, idleSeconds, textPings, port.fdb.static]
}
