/**
 * The main thread's half of what plugs into the switch, a transport (the guests' side) or an interface (the host's): it
 * opens and closes what lives outside the process (sockets, files, devices, child processes) and says how the data
 * plane's half is made. See dataplane/endpoint.ts for the other half.
 */
import type { AttachmentConfig } from '../config/attachment.js'
import type { InterfaceConfig, TransportConfig } from '../config/config.js'
import type { Forward } from '../config/forwards.js'
import type { DescriptorShare } from '../dataplane/descriptor-budget.js'
import type { EndpointMessage, EndpointSpec } from '../dataplane/messages.js'
import type { FindingCode, FindingDetail } from '../finding-codes.js'
import type { Logger } from '../log.js'
import type { Os } from '../os/os.js'
import type { UpgradeRoutes } from '../upgrade-routes.js'

export interface Transport<Config extends AttachmentConfig = TransportConfig | InterfaceConfig> {
  readonly config: Config
  /** How it is reached, for people: a path, an address, a device. */
  readonly where: string
  /**
   * What was found out or negotiated, for people and programs: a mode, an MTU, an address range. Read whenever somebody
   * asks.
   */
  facts?(): Facts
  /** Port forwards that are in force now; absent where there is no such thing. */
  forwards?(): readonly Forward[]
  /** Rejects with OperatorError when it is taken or cannot be. */
  addForward?(forward: Forward): Promise<void>
  /** Resolves to false when there is none. */
  removeForward?(forward: Pick<Forward, 'protocol' | 'host'>): Promise<boolean>
  /**
   * For the data plane; asked again whenever it is replaced. Null where there is nothing to attach, now and for good.
   */
  spec(index: number): Omit<EndpointSpec, 'ports'> | null
  /** From the data plane's half. */
  message(message: EndpointMessage): void
  /** Whether it can become this, of the same type, while it is open; if not, it has to be opened anew. */
  canBecome(config: Config): boolean
  /** Takes over what can change while it is open. */
  update(config: Config): void
  /** Closes sockets, removes files, ends children; the data plane has let go before. Idempotent. */
  close(): void | Promise<void>
}

/** Names in camelCase. Null: not known (yet). */
export type Facts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>

/** How a transport talks to its half on the data plane. */
export type SendToEndpoint = (message: EndpointMessage) => void

/** What the control plane offers to a transport. */
export interface TransportContext {
  readonly os: Os
  readonly log: Logger
  /** Absolute; exists, 0700, ours. For files that are not configured by path. */
  readonly runtimeDir: string
  /**
   * The user that the switch goes on as (`process.user`), for child processes that need no rights; null where it stays
   * who it is.
   */
  readonly account: { readonly uid: number; readonly gid: number } | null
  /**
   * Paths of the HTTP server at which a client may go over to another protocol; the server may start later, or never.
   */
  readonly upgrades: UpgradeRoutes
  /** Name of the switch; may change while it runs. */
  readonly switchName: () => string
  /** To the data plane's half; only after the transport was opened. */
  readonly send: SendToEndpoint
  /**
   * What is wrong with this transport or interface now, once for each cause; it ends when it is cleared, or with the
   * transport.
   */
  readonly findings: OwnFindings
  /** For the descriptors that the main thread opens for this transport's peers. */
  readonly descriptors: Pick<DescriptorShare, 'take' | 'give'>
  /** Something that happened and is over; what stays wrong is a finding. Not for what guests can cause at will. */
  readonly report: (event: TransportEvent) => void
  /**
   * Runs a callback; what it throws is this transport's fault, is reported as such, and harms nothing else; then the
   * answer is false. For callbacks that do not begin with a timer or promise of the transport: events of accepted
   * sockets, of children, of foreign libraries.
   */
  readonly contain: Contain
}

export type Contain = (callback: () => void) => boolean

/** A listener that is contained; `failed` ends what the listener was for, such as one connection. */
export function contained<Args extends unknown[]>(
  contain: Contain,
  listener: (...args: Args) => void,
  failed: () => void,
): (...args: Args) => void {
  return (...args) => {
    if (!contain(() => listener(...args))) failed()
  }
}

/** A transport's findings about itself. */
export interface OwnFindings {
  /**
   * `message` is one sentence that says what is wrong and the way out. Raised again it only counts, and the newest
   * `message` is shown; so it may be raised at each attempt that fails.
   */
  raise(finding: { readonly code: FindingCode; readonly message: string; readonly detail?: FindingDetail }): void
  /** Does nothing where the finding is not raised. */
  clear(code: FindingCode): void
}

/** `message` is for people, one clause without the transport's name; `details` are fields of the log line. */
export interface TransportEvent {
  readonly level: 'info' | 'warn' | 'error'
  /** Stable, for programs: `connected`, `disconnected`, `dhcp-server-restarted`. */
  readonly event: string
  readonly message: string
  readonly details?: Facts
}

/** Opens one. Throws OperatorError when it cannot be, and leaves nothing behind then. */
export type OpenTransport<Config extends AttachmentConfig> = (
  config: Config,
  context: TransportContext,
) => Promise<Transport<Config>>
