/**
 * The far end of a WebSocket, inside the test: a client that a browser could be, or the server's end of one that we
 * dialled.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws'

const defaultTimeoutMs = 8000

export class WebSocketPeer {
  readonly ws: WebSocket
  /** Texts that came, oldest first. */
  readonly texts: string[] = []
  readonly #inbox: Uint8Array[] = []
  #arrived: () => void = () => {}
  #ended = ''

  /** Rejects when the upgrade is refused, with its status in the message. */
  static async connect(url: string, options: ClientOptions & { protocols?: string[] } = {}): Promise<WebSocketPeer> {
    const { protocols = [], ...rest } = options
    const ws = new WebSocket(url, protocols, { perMessageDeflate: true, handshakeTimeout: defaultTimeoutMs, ...rest })
    const peer = new WebSocketPeer(ws)
    await once(ws, 'open')
    return peer
  }

  constructor(ws: WebSocket) {
    this.ws = ws
    ws.on('message', (data, isBinary) => {
      if (isBinary) this.#inbox.push(data as Buffer)
      else this.texts.push(String(data))
      this.#arrived()
    })
    ws.on('error', error => this.#end(String(error)))
    ws.on('close', (code, reason) => this.#end(`closed with ${code} ${reason}`))
  }

  /** Empty while it is open. */
  get ended(): string {
    return this.#ended
  }

  /** Resolves when the kernel has them. */
  async send(frames: readonly Uint8Array[]): Promise<void> {
    for (const frame of frames.slice(0, -1)) this.ws.send(frame)
    const last = frames.at(-1)
    if (last === undefined) return
    await new Promise<void>((resolve, reject) => this.ws.send(last, error => (error ? reject(error) : resolve())))
  }

  /** The next `count` frames. Rejects when they do not come in time. */
  async receive(count: number, timeoutMs = defaultTimeoutMs): Promise<Uint8Array[]> {
    const inTime = await this.#until(() => this.#inbox.length >= count, timeoutMs)
    if (!inTime) throw new Error(`got ${this.#inbox.length} of ${count} frames; ${this.#ended || 'still open'}`)
    return this.#inbox.splice(0, count)
  }

  /** Everything that came. */
  receiveNow(): Uint8Array[] {
    return this.#inbox.splice(0)
  }

  /** The status with which it was closed, or why it broke. Rejects when it stays open. */
  async end(timeoutMs = defaultTimeoutMs): Promise<string> {
    const inTime = await this.#until(() => this.#ended !== '', timeoutMs)
    if (!inTime) throw new Error('it stays open')
    return this.#ended
  }

  /** Without a closing handshake. */
  leave(): void {
    this.ws.terminate()
  }

  async #until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs
    while (!condition()) {
      const left = deadline - performance.now()
      if (left <= 0) return false
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.#arrived = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    return true
  }

  #end(why: string): void {
    this.#ended ||= why
    this.#arrived()
  }
}

/** A relay that knows nothing of us: takes connections, and hands each to the test. */
export class RelayServer {
  readonly #server: WebSocketServer
  readonly #waiting: WebSocketPeer[] = []
  #arrived: () => void = () => {}

  /** `port` 0 takes a free one. `headers` are added to its answers. */
  static async listen(port = 0, headers: Readonly<Record<string, string>> = {}): Promise<RelayServer> {
    const server = new WebSocketServer({ host: '127.0.0.1', port })
    server.on('headers', lines => {
      for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
    })
    await once(server, 'listening')
    return new RelayServer(server)
  }

  private constructor(server: WebSocketServer) {
    this.#server = server
    server.on('connection', ws => {
      this.#waiting.push(new WebSocketPeer(ws))
      this.#arrived()
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** The next connection. */
  async accept(timeoutMs = 20_000): Promise<WebSocketPeer> {
    const deadline = performance.now() + timeoutMs
    while (this.#waiting.length === 0) {
      const left = deadline - performance.now()
      if (left <= 0) throw new Error(`nobody connected within ${timeoutMs} ms`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.#arrived = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    return this.#waiting.shift() as WebSocketPeer
  }

  /** Lets go of the port and of every connection. */
  async close(): Promise<void> {
    for (const client of this.#server.clients) client.terminate()
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }
}
