/** What the two halves of the udp transport tell each other. Everything here crosses threads by structured clone. */
import type { EgressPolicy } from '../../dataplane/endpoint.js'
import type { IpPrefix } from '../../wire/ip-prefix.js'

export const UDP = 'udp'

interface CommonOptions {
  policy: EgressPolicy
  staticAddresses: readonly number[]
  /** Made, bound and closed by the main thread. */
  fd: number
}

/** A peer that the configuration names. */
export interface ConfiguredPeer {
  /** As it is configured; what it is known by when its address changes. */
  key: string
  /** Raw. */
  address: Uint8Array
}

/** What may change while the socket is open. */
export interface PeerSettings {
  peers: readonly ConfiguredPeer[]
  /** Null: nobody else. */
  learn: { allowed: readonly IpPrefix[]; maxPeers: number; timeoutMs: number } | null
}

/** A port for each peer. */
export interface UdpPeersOptions extends CommonOptions, PeerSettings {
  mode: 'peers'
  /** Bound to the same address as `fd`, in this order; may be empty. */
  lanes: readonly number[]
  /** Its one port is named like the transport. */
  single: boolean
}

/** One port for a multicast group. */
export interface UdpGroupOptions extends CommonOptions {
  mode: 'group'
  /** Another socket that joined the group, for members that flood; -1: none. */
  loudFd: number
  /** Frames leave here, so that ours are known when they come back. */
  sendFd: number
  /** Raw address of the group, and of `sendFd`. */
  group: Uint8Array
  own: Uint8Array
}

export type UdpOptions = UdpPeersOptions | UdpGroupOptions

/** What a new data plane needs to go on serving a peer. */
export interface UdpPeerRestore {
  /** Null for one that was learned. */
  key: string | null
  address: Uint8Array
}

/** Main thread to data plane: the peers, or their addresses, have changed. */
export type UdpDowncall = { type: 'peers' } & PeerSettings
