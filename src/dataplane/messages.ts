/**
 * What the main thread and the data plane say to each other. Commands go through a MessagePort, with a wake-up
 * descriptor because the data plane sleeps in the kernel; events come back the same way and are not waited for.
 */
import type { FindingCode, FindingDetail } from '../finding-codes.js'
import type { CaptureCount, CaptureSpec } from './capture-session.js'
import type { EgressPolicy, PortSettings, PortUpdate } from './endpoint.js'
import type { SharedMemoryShape } from './shared-memory.js'

/** Everything a data plane is made from; the next one is made from the same. */
export interface DataPlaneSettings {
  maxFrameSize: number
  bufferBytes: number
  fdb: { ageingMs: number; maxEntries: number; maxEntriesPerPort: number; hashSeed: number }
}

/** Passed to the worker when it starts. */
export interface WorkerInit {
  settings: DataPlaneSettings
  shape: SharedMemoryShape
  counters: SharedArrayBuffer
  fdb: SharedArrayBuffer
  wakeFd: number
  endpoints: EndpointSpec[]
  /** What data planes before this one raised and did not clear. */
  findings?: RaisedFinding[]
}

/** An endpoint to make, and the ports it had when the data plane before this one ended. */
export interface EndpointSpec {
  name: string
  kind: string
  /** Row of its counters. */
  index: number
  /** The transport's own: descriptors, addresses, limits. Structured-cloneable. */
  options: unknown
  ports: RestoredPort[]
}

export interface RestoredPort {
  index: number
  id: number
  name: string
  up: boolean
  peer: string | null
  restore: unknown
  settings: PortSettings
}

/** Between the two halves of one transport; only it knows the content. */
export interface EndpointMessage {
  type: string
  [field: string]: unknown
}

export type Command =
  | { type: 'attach'; endpoint: EndpointSpec }
  | { type: 'detach'; name: string }
  | { type: 'endpoint'; name: string; message: EndpointMessage }
  | { type: 'set-policy'; name: string; policy: EgressPolicy }
  | { type: 'set-limits'; maxFrameSize: number; ageingMs: number; maxEntriesPerPort: number }
  /** Settings of one port alone; refused as a whole when the FDB has no place for its static addresses. */
  | { type: 'set-port'; index: number; id: number; settings: PortSettings }
  /** Ends whatever is at the other end; it may come back. */
  | { type: 'disconnect'; index: number; id: number }
  | { type: 'flush'; port: number | null }
  /** Forgets a learned address. */
  | { type: 'forget'; mac: number }
  | { type: 'capture-start'; capture: CaptureSpec }
  | { type: 'capture-stop'; id: number }
  /** Ends the thread; another will go on with its descriptors and ports. */
  | { type: 'hand-over' }
  | { type: 'stop' }

/** Every command is answered, in order. */
export interface Request {
  id: number
  command: Command
}

export type Event =
  /** First of all: what the thread opened for itself, to be closed by the main thread should it die. */
  | { type: 'opened'; descriptors: readonly number[] }
  | { type: 'started' }
  | { type: 'reply'; id: number; error: string | null }
  | {
      type: 'port-added'
      index: number
      id: number
      name: string
      transport: string
      kind: string
      staticAddresses: readonly number[]
      at: number
    }
  | ({ type: 'port-up' | 'port-down'; index: number; id: number; at: number } & PortUpdate)
  /** It was up when its endpoint failed; what it needs to be restored is as it was. */
  | { type: 'port-suspended'; index: number; id: number; at: number }
  /** It is up as it was, after a restart of the data plane or of its endpoint. */
  | { type: 'port-resumed'; index: number; id: number; at: number }
  /** An endpoint serves. */
  | { type: 'endpoint-opened'; name: string }
  /** An endpoint threw, and was detached. `stack` is for the log. */
  | { type: 'endpoint-failed'; name: string; reason: string; stack: string | null; at: number }
  /** For the next data plane only. */
  | { type: 'port-restore'; index: number; restore: unknown }
  | { type: 'port-removed'; index: number; id: number; at: number }
  | { type: 'mac-learned'; mac: string; port: number; at: number }
  | { type: 'mac-moved'; mac: string; from: number; to: number; at: number }
  | { type: 'mac-flapping'; mac: string; from: number; port: number; at: number }
  /** The last of a capture: no more of it is written to its socket. */
  | { type: 'capture-stopped'; id: number; counts: CaptureCount[] }
  | { type: 'limit-reached'; port: number | null; at: number }
  | FrameEvent
  | FindingEvent
  | { type: 'endpoint'; name: string; message: EndpointMessage }

/**
 * By the name of an endpoint, the index of a port, or null for the switch; `owner` is the endpoint that it belongs to,
 * or empty.
 */
export interface RaisedFinding {
  subject: string | number | null
  owner: string
  code: FindingCode
}

/** Something is wrong (`raised`), still is, or is no longer; see finding-reporter.ts. */
export interface FindingEvent extends RaisedFinding {
  type: 'finding'
  /** Of the port, where the subject is one: its index may be in use by another meanwhile. */
  id: number | null
  raised: boolean
  message: string
  detail: FindingDetail | undefined
  /** How often it happened since the last such event. */
  count: number
}

/** A frame passed a port that is traced. The header's fields are null where it is too short to have them. */
export interface FrameEvent {
  type: 'frame'
  port: number
  direction: 'receive' | 'transmit'
  destination: string | null
  source: string | null
  etherType: number | null
  length: number
  at: number
}
