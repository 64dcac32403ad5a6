/** What the two halves of the stream transport say to each other. */
import type { EgressPolicy } from '../../dataplane/endpoint.js'
import type { EndpointDropReason } from '../../dataplane/shared-memory.js'
import type { FramingName } from './framing.js'

export const STREAM = 'stream'

/** A connection that somebody else made; its descriptor stays the main thread's. */
export interface GivenConnection {
  /** Unique for this transport, never used again. */
  id: number
  /** -1 when it is over; its port is kept, and is down. */
  fd: number
  /** Name of its port; the port stays until it is dropped, also when the connection ends. */
  portName: string
  /** Who it is, for people. */
  peer: string | null
}

interface CommonOptions {
  /** What the ports are shown as, e.g. `stream`. */
  portKind: string
  policy: EgressPolicy
  staticAddresses: readonly number[]
  framing: FramingName
  socket: SocketOptions
}

export interface SocketOptions {
  /** Bytes asked for in each direction; 0 leaves what the kernel gives. */
  bufferBytes: number
  /** Seconds without traffic after which a TCP peer is asked whether it lives; 0 for never. */
  keepAliveSeconds: number
}

export interface ListenOptions extends CommonOptions {
  mode: 'listen'
  /** Listening sockets, the main thread's. */
  listening: readonly number[]
  /** `one`: the port is there before its peer is, and is the same for the next one. */
  peers: 'many' | 'one'
  maxPeers: number
}

export interface ConnectOptions extends CommonOptions {
  mode: 'connect'
}

export interface GivenOptions extends CommonOptions {
  mode: 'given'
  connections: readonly GivenConnection[]
  /** Names of ports that are there before their connections, and stay. */
  lasting?: readonly string[]
}

export type StreamOptions = ListenOptions | ConnectOptions | GivenOptions

/** What a new data plane needs to go on with a connection. */
export interface ConnectionRestore {
  fd: number
  /** Of a given connection, else 0. */
  id: number
  /** Null until the data plane that had it says: nobody knows where in a frame the two ends are. */
  progress: Progress | null
}

/** Where in a frame a connection is, in both directions. */
export interface Progress {
  /** What was read of a frame that is not complete, its prefix included. */
  input: Uint8Array
  /** Bytes still to come of a frame that is too long to be kept. */
  skip: number
  /** What is still to be sent of a frame that was sent in part. */
  output: Uint8Array
}

/** Data plane to main thread. */
export type StreamUpcall =
  /** There is no connection, and one may be dialled. `error`: why the last one failed or ended; null for the first. */
  | { type: 'idle'; error: string | null; wasUp: boolean }
  | { type: 'connected' }
  /** A given connection is over; its descriptor is not used any more. `refused`: it never had a port. */
  | { type: 'ended'; id: number; reason: string; refused?: boolean }

/** Main thread to data plane. */
export type StreamDowncall =
  | { type: 'dial'; family: number; address: Uint8Array; peer: string }
  | { type: 'give'; connection: GivenConnection }
  /** Ends a port of given connections. A connection it still has is answered by `ended`. */
  | { type: 'drop'; portName: string }
  /** The main thread refused something, so often since it last said so. */
  | { type: 'count'; reason: EndpointDropReason; count: number }
  | { type: 'max-peers'; maxPeers: number }
