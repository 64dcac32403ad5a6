/**
 * A configuration after loading: every default filled in, every path absolute, every name of a user or group a number.
 * The rest of the program reads these types and never the file.
 */
import type { InterfaceConfig } from './interfaces.js'
import type { ProcessConfig, SandboxMode } from './process.js'
import type { TransportConfig } from './transports.js'

export type { InterfaceConfig } from './interfaces.js'
export type { FdConfig } from './transports/fd.js'
export type { StreamConfig, StreamConnectConfig, StreamListenConfig } from './transports/stream.js'
export type * from './transports/udp.js'
export type * from './transports/unixgram.js'
export type * from './transports/vxlan.js'
export type * from './transports/websocket.js'
export type { TransportConfig } from './transports.js'

import type { HttpConfig } from './http.js'

export type { Anonymous, HttpConfig, Role, TokenConfig } from './http.js'
export type { SecretSource } from './secret.js'

export interface Config {
  /** The file it came from; absolute. */
  readonly file: string
  /** Absolute. Made 0700 when missing, and must be ours. */
  readonly runtimeDir: string
  readonly switch: SwitchConfig
  /** The host's side. */
  readonly interfaces: readonly InterfaceConfig[]
  readonly transports: readonly TransportConfig[]
  /** `false`: no HTTP server. */
  readonly http: HttpConfig | false
  /** Whom it goes on as once everything is open; null: whoever started it. */
  readonly process: ProcessConfig | null
  /** Whether it gives up the files that are not named here: cli/sandbox.ts. */
  readonly sandbox: SandboxMode
  readonly log: { readonly level: LogLevel }
}

export interface SwitchConfig {
  readonly name: string
  /** Bytes, Ethernet header and tag included, FCS not. */
  readonly maxFrameSize: number
  readonly maxPorts: number
  /** Bytes of frames that may wait in egress queues, all ports together. */
  readonly bufferBytes: number
  readonly fdb: {
    readonly ageingSeconds: number
    readonly maxEntries: number
    readonly maxEntriesPerPort: number
  }
}

/** What a port gets from the transport it belongs to. */
export interface PortPolicyConfig {
  /** Bytes, at most `switch.maxFrameSize`. */
  readonly maxFrameSize: number
  /** Frames do not pass between two isolated ports. */
  readonly isolated: boolean
  /** Frames that may wait for this port. */
  readonly queueFrames: number
  readonly fdb: {
    readonly maxEntries: number
    /** Addresses that always belong to this port; lower case, colons. */
    readonly static: readonly string[]
  }
  /** Absent where nothing is impaired. */
  readonly impairment?: ImpairmentConfig
  /** Makes it a mirror of these ports, transports and interfaces. */
  readonly mirrors?: readonly string[]
  /** Absent where single frames are not logged. */
  readonly trace?: true
}

/** What happens to frames that leave through the port; see dataplane/impairment.ts. */
export interface ImpairmentConfig {
  readonly seed: number
  /** Percent. */
  readonly loss: number
  readonly duplicate: number
  readonly reorder: number
  readonly reorderMs: number
  readonly delayMs: number
  readonly jitterMs: number
  /** 0: no limit. */
  readonly bitsPerSecond: number
  readonly holdFrames: number
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]
