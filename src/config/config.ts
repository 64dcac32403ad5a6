/**
 * A configuration after loading: every default filled in, every path absolute, every name of a user or group a number. The
 * rest of the program reads these types and never the file.
 */

export interface Config {
  /** The file it came from; absolute. */
  readonly file: string
  /** Absolute. Made 0700 when missing, and must be ours. */
  readonly runtimeDir: string
  readonly switch: SwitchConfig
  /** The host's side. This version has no type of interface. */
  readonly interfaces: readonly never[]
  readonly transports: readonly TransportConfig[]
  /** `false`: no HTTP server. */
  readonly http: HttpConfig | false
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
}

export type TransportConfig = UnixgramConfig
export type UnixgramConfig = UnixgramListenConfig | UnixgramConnectConfig

interface UnixgramCommon {
  readonly type: 'unixgram'
  /** Also the name of the port, or the front part of the names of many. */
  readonly name: string
  readonly port: PortPolicyConfig
  /** Mode of the socket file this switch makes, e.g. 0o600. */
  readonly permissions: number
  /** Numeric; null leaves what the process has. */
  readonly owner: number | null
  readonly group: number | null
}

export interface UnixgramListenConfig extends UnixgramCommon {
  readonly role: 'listen'
  /** Absolute path. */
  readonly listen: string
  readonly peers: 'many' | 'one'
  /** 1 where `peers` is `one`. */
  readonly maxPeers: number
}

export interface UnixgramConnectConfig extends UnixgramCommon {
  readonly role: 'connect'
  /** Absolute paths. */
  readonly connect: { readonly local: string; readonly remote: string }
  /** `vfkit`: the four bytes VFKT are sent first. */
  readonly handshake: 'vfkit' | null
}

export interface HttpConfig {
  /** `host:port` on loopback (port 0 takes a free one), or the absolute path of a unix socket. */
  readonly listen: string
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]
