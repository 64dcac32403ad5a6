/** What the data plane's half for a connected datagram socket is made from. */
import type { EgressPolicy } from '../../dataplane/endpoint.js'

export const CONNECTED_DATAGRAMS = 'connected-datagrams'

export interface ConnectedDatagramsOptions {
  /** The main thread's. */
  fd: number
  /** For people. */
  peer: string
  policy: EgressPolicy
  staticAddresses: readonly number[]
}
