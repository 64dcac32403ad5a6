/**
 * The main thread's half of a transport: it opens and closes what lives outside the process (sockets, files) and says how
 * the data plane's half is made. See dataplane/endpoint.ts for the other half.
 */

import type { TransportConfig } from '../config/config.js'
import type { EndpointMessage, EndpointSpec } from '../dataplane/messages.js'

export interface Transport {
  readonly config: TransportConfig
  /** How it is reached, for people: a path, an address. */
  readonly where: string
  /** For the data plane; asked again whenever it is replaced. */
  spec(index: number): Omit<EndpointSpec, 'ports'>
  /** From the data plane's half. */
  message(message: EndpointMessage): void
  /** Whether it can become this while it is open; if not, it has to be opened anew. */
  canBecome(config: TransportConfig): boolean
  /** Takes over what can change while it is open. */
  update(config: TransportConfig): void
  /** Closes sockets and removes files; the data plane has let go before. Idempotent. */
  close(): void
}

/** How a transport talks to its half on the data plane. */
export type SendToEndpoint = (message: EndpointMessage) => void
