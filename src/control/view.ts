/**
 * What the control plane shows of a running switch. HTTP and the CLI know the switch through these types only; they
 * never hold a port, a descriptor or the data plane.
 */
import type { Forward } from '../config/forwards.js'
import type { EndpointDropReason, PortCounters, SwitchCounters } from '../dataplane/shared-memory.js'
import type { FindingCode, FindingDetail, Severity } from '../finding-codes.js'
import type { Facts } from '../transports/transport.js'

/** What is wrong now; see findings.ts. */
export interface FindingView {
  code: FindingCode
  severity: Severity
  subject: { kind: 'switch' | 'transport' | 'interface' | 'port'; name: string }
  /** One sentence: what is wrong, and the way out. */
  message: string
  detail: FindingDetail
  /** How often it was seen. */
  count: number
  /** ISO 8601. */
  since: string
  lastSeen: string
}

export interface PortView {
  /** Small integer, never used again in a run. */
  id: number
  name: string
  transport: string
  kind: string
  /** Who is at the other end, as far as the transport can tell: a socket path, an address; null while nobody is. */
  peer: string | null
  /** It forwards: somebody is at the other end, and it is enabled. */
  up: boolean
  /** Not switched off by an operator. */
  enabled: boolean
  /** Bytes, Ethernet header and tag included, FCS not. */
  maxFrameSize: number
  isolated: boolean
  /** Frames that may wait for it. */
  queueFrames: number
  /** Ports, transports and interfaces this port gets copies of; null where it is no mirror. */
  mirrors: readonly string[] | null
  /** Of an interface that has modes: `shared`, `host`, `bridged`. */
  mode: string | null
  /** FDB entries this port may hold. */
  maxEntries: number
  /** ISO 8601, when the port last came up. */
  since: string
  /** What is wrong with it now. */
  findings: readonly FindingView[]
  counters: PortCounters
}

export interface TransportView {
  name: string
  kind: string
  /** How it is reached, e.g. the socket path. */
  listen: string
  /** What was found out or negotiated. */
  facts: Facts
  /** In the form of the configuration file, every default filled in. */
  config: Readonly<Record<string, unknown>>
  /** Null where there is no such thing. */
  forwards: readonly Forward[] | null
  ports: number
  /** `failed`: it was detached, and is tried again. */
  state: 'serving' | 'failed'
  /** Why it failed; null while it serves. One clause. */
  reason: string | null
  /** How often it failed since it was opened. */
  failures: number
  drops: Record<EndpointDropReason, number>
  /** What is wrong with it now, its ports apart. */
  findings: readonly FindingView[]
}

/** An interface is seen the same way. */
export type InterfaceView = TransportView

export interface FdbEntryView {
  /** Lower case, colons. */
  mac: string
  portId: number
  port: string
  static: boolean
  /** Seconds since a frame from this address was last seen; null for static entries. */
  ageSeconds: number | null
}

export interface FdbQuery {
  /** Id or name of a port: only its entries. */
  readonly port?: string | undefined
  /** A 48-bit integer: only this address. */
  readonly mac?: number | undefined
  readonly offset: number
  readonly limit: number
  /** Whether who asked has gone, so that the rest of the work can be left out. */
  readonly isGone?: () => boolean
}

export interface FdbPageView {
  /** Entries that the query asks for, on this page or not. */
  total: number
  limit: number
  offset: number
  entries: FdbEntryView[]
}

export interface SwitchInfo {
  name: string
  version: string
  maxFrameSize: number
  startedAt: string
  ports: number
  maxPorts: number
  bufferBytes: number
  fdb: { entries: number; capacity: number; maxEntriesPerPort: number; ageingSeconds: number }
  dataplane: { restarts: number; alive: boolean }
  /** Lines that could not be written since the start. */
  log: { linesDropped: number }
  counters: SwitchCounters
}

/**
 * Implemented by the control plane. Every method reads memory; none of them disturbs the data plane, or keeps the main
 * thread for more than milliseconds.
 */
export interface SwitchView {
  info(): SwitchInfo
  ports(): PortView[]
  port(id: number): PortView | undefined
  transports(): TransportView[]
  interfaces(): InterfaceView[]
  /** A page of the filtering database, in order of address. */
  /** Rejects with Refused `busy` when too many wait. */
  fdb(query: FdbQuery): Promise<FdbPageView>
  /** What is wrong now: errors first, then the oldest first. `notListed` counts what exceeded a bound. */
  findings(): { findings: FindingView[]; notListed: number }
  /** True once every transport is open, the data plane turns, and not every transport has failed. */
  ready(): boolean
  /** Undefined when well, else one sentence that says what is wrong. */
  trouble(): string | undefined
}
