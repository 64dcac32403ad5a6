/** What the two halves of the vxlan transport tell each other. Everything here crosses threads by structured clone. */
import type { EgressPolicy } from '../../dataplane/endpoint.js'
import type { IpPrefix } from '../../wire/ip-prefix.js'

export const VXLAN = 'vxlan'

/** A remote that the configuration names. */
export interface ConfiguredRemote {
  /** As it is configured; what it is known by when its address changes. */
  key: string
  /** Raw, with the port that datagrams go to. */
  address: Uint8Array
}

/** What may change while the socket is open. */
export interface RemoteSettings {
  remotes: readonly ConfiguredRemote[]
  /** Null: nobody else. */
  learn: { allowed: readonly IpPrefix[]; maxRemotes: number; timeoutMs: number } | null
  /** Milliseconds after its last frame until the remote of a MAC address is forgotten. */
  ageingMs: number
}

export interface VxlanOptions extends RemoteSettings {
  policy: EgressPolicy
  staticAddresses: readonly number[]
  vni: number
  /**
   * Datagrams come in here; shared by all networks on this address, in the order in which they were bound. Made and
   * closed by the main thread.
   */
  fds: readonly number[]
  /** Datagrams leave by one of these, which one the flow decides. Shared likewise. */
  sendFds: readonly number[]
  /** Learned remotes answer where we listen: RFC 7348 has one port for a fabric. */
  port: number
  /** MAC addresses behind remotes. */
  maxEntries: number
}

/** What a new data plane needs to go on: the remotes that were learned. */
export interface VxlanRestore {
  learned: readonly Uint8Array[]
}

/** Main thread to data plane: the remotes, their addresses or their times have changed. */
export type VxlanDowncall = { type: 'remotes' } & RemoteSettings

/** Data plane to main thread: who was learned, raw; told whenever that changes. */
export type VxlanUpcall = { type: 'learned'; addresses: readonly Uint8Array[] }
