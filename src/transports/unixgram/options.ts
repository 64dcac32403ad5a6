/**
 * What the two halves of the unixgram transport tell each other. Everything here crosses threads by structured clone.
 */
import type { EgressPolicy } from '../../dataplane/endpoint.js'

export const UNIXGRAM = 'unixgram'

/** A socket of this transport; the main thread made it and closes it. */
export interface UnixgramSocket {
  fd: number
  /** 1 for the first socket bound to the path, one more for each that took its place. */
  generation: number
}

interface CommonOptions {
  policy: EgressPolicy
  staticAddresses: readonly number[]
  /** Bytes asked for as the send buffer of each socket. */
  sendBufferBytes: number
  /** An unbound socket of the main thread's, connected to one peer after the other to see whether it lives. */
  probeFd: number
}

/** Many VMs on one path. */
export interface ManyPeersOptions extends CommonOptions {
  mode: 'many'
  sockets: readonly UnixgramSocket[]
  maxPeers: number
}

/** One VM on one path; or `remote` is who we connect to, and the only one we listen to. */
export interface OnePeerOptions extends CommonOptions {
  mode: 'one' | 'connect'
  sockets: readonly UnixgramSocket[]
  /** Raw address; null when listening. */
  remote: Uint8Array | null
  /** Sent after each connect. */
  handshake: Uint8Array | null
}

export type UnixgramOptions = ManyPeersOptions | OnePeerOptions

/** What a new data plane needs to go on serving a peer. */
export interface PeerRestore {
  address: Uint8Array
  /** A socket of the peer's own, connected to it; -1 when it is served through the socket it is connected to. */
  ownFd: number
  /** The peer is connected to the socket of this generation, and hears no other. */
  connected: boolean
  /** The listening socket it speaks to. */
  generation: number
}

/**
 * Data plane to main thread. `handover`: the socket of this generation belongs to the client connected to it from now
 * on, so bind a new one to the path. `release`: this socket is not used any more, close it.
 */
export type UnixgramUpcall = { type: 'handover'; generation: number } | { type: 'release'; generation: number }

/** Main thread to data plane. */
export type UnixgramDowncall =
  /** The socket that has the path now. */
  | { type: 'socket'; socket: UnixgramSocket }
  | { type: 'max-peers'; maxPeers: number }
  /** All paths that more than one datagram socket of this machine is bound to. */
  | { type: 'same-name'; paths: readonly string[] }

/** Sent by vfkit and libkrun right after connecting, long before the first frame. Not a frame; answered by nothing. */
export const VFKIT_HANDSHAKE = Uint8Array.of(0x56, 0x46, 0x4b, 0x54)

/** Whether the datagram of `length` bytes at `offset` is that handshake. */
export function isHandshake(bytes: Uint8Array, offset: number, length: number): boolean {
  if (length !== VFKIT_HANDSHAKE.length) return false
  for (let i = 0; i < length; i++) if (bytes[offset + i] !== VFKIT_HANDSHAKE[i]) return false
  return true
}
