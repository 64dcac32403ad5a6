/**
 * Who takes an HTTP request that asks for another protocol (`Upgrade: websocket`), by path. Transports register while
 * the switch runs, before or after the HTTP server is there; the server looks here and knows none of them.
 *
 * The server has checked `Host` and `Origin` by then, and the bearer token unless the route says that it checks its
 * own. From the call on, the socket is the route's: it answers, limits, and closes.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

export interface UpgradeRoute {
  /** Must not throw because of what a client sends. */
  readonly handle: (request: IncomingMessage, socket: Duplex, head: Buffer, client: UpgradeClient) => void
  /**
   * Origins of web pages that may connect, besides the server's own; as browsers write them: `http://localhost:8080`.
   */
  readonly allowedOrigins: readonly string[]
  /**
   * What the API's own tokens are asked for: `control` or `read`, that role or a stronger one; `guest`, no token where
   * callers without one may look, else `control`; `own`, the route checks `client.token` itself and reports through
   * `client.refused()`.
   */
  readonly access: 'read' | 'control' | 'guest' | 'own'
  /** Connections the route may hold at once; the server makes room for them beside its own. */
  readonly maxConnections: number
  /** The server is about to close: say goodbye, as sockets are destroyed right after. */
  readonly closing?: () => void
}

export interface UpgradeClient {
  /** IP address, or empty on a unix socket. */
  readonly address: string
  /** From `Authorization: Bearer`, else undefined. */
  readonly token: string | undefined
  /** A token was wrong: counts towards the limit on failures of this address. False when the limit is reached. */
  refused(): boolean
}

export class UpgradeRoutes {
  readonly #routes = new Map<string, UpgradeRoute>()
  #changed = () => {}

  /**
   * `path` begins with "/" and is compared as a whole, without the query. Throws when it is taken. Returns what undoes
   * it.
   */
  register(path: string, route: UpgradeRoute): () => void {
    if (this.#routes.has(path)) throw new Error(`upgrade path ${path} is taken`)
    this.#routes.set(path, route)
    this.#changed()
    return () => {
      if (this.#routes.get(path) !== route) return
      this.#routes.delete(path)
      this.#changed()
    }
  }

  find(path: string): UpgradeRoute | undefined {
    return this.#routes.get(path)
  }

  /** Connections of all routes together. */
  get maxConnections(): number {
    let sum = 0
    for (const { maxConnections } of this.#routes.values()) sum += maxConnections
    return sum
  }

  /** Called when routes come or go; one listener, the HTTP server. */
  onChange(listener: () => void): void {
    this.#changed = listener
  }

  closing(): void {
    for (const { closing } of this.#routes.values()) closing?.()
  }
}
