/**
 * What the data plane asks of a transport, and what it offers to one.
 *
 * An *endpoint* is the data plane's half of a transport: the descriptors frames come from and go to, and the ports
 * behind them. One descriptor may carry one port (a TAP) or many (a socket path with a VM for each source address), and
 * a port may have a descriptor of its own to send on. The other half, which opens sockets and files, lives on the main
 * thread.
 *
 * The contract, once for all transports:
 * - Nothing here ever blocks. No call throws because of what a peer does. An exception is a fault of the endpoint: the
 *   data plane detaches it, and makes it anew from what it had reported, as if the thread had died; see guard.ts.
 * - A frame belongs to the pool. `transmit` may read it until it returns, and must not keep it.
 * - Descriptors belong to the main thread, which hands them to the next data plane should this one die. An endpoint
 *   that opens one reports it (`PortUpdate.descriptors`), and closes it when its port is closed.
 */
import type { FindingCode, FindingDetail } from '../finding-codes.js'
import type { Os } from '../os/os.js'
import type { DescriptorShare } from './descriptor-budget.js'
import type { FindingText } from './finding-reporter.js'
import type { FrameList } from './frame-list.js'
import type { FramePool } from './frame-pool.js'
import type { ImpairmentSettings } from './impairment.js'
import type { EndpointMessage } from './messages.js'
import type { ReceiveBatch } from './receive-batch.js'
import type { EndpointDropReason } from './shared-memory.js'

export interface Endpoint {
  /**
   * Bytes; longer frames are dropped on their way to it as oversize, whatever its ports' policy says. Absent: no such
   * bound.
   */
  readonly maxFrameSize?: number
  /** Makes its ports and starts watching its descriptors. */
  open(): void
  /**
   * Fills the batch from a descriptor: offsets, lengths and ingress ports. Returns how many slots it used, 0 when
   * nothing waits. A slot whose content is not a frame (a handshake, an unknown sender) gets port -1, and is counted.
   */
  receive(fd: number, batch: ReceiveBatch): number
  /**
   * For an endpoint that reads streams, instead of `receive`: fills the list with the next frames that lie in a read
   * buffer, reading first when nothing of the last read is left. Returns how many; 0 when there is none.
   */
  receiveInPlace?(fd: number, list: FrameList): number
  /** Most frames of one `transmit`; BATCH where it is not said. */
  readonly maxTransmit?: number
  /**
   * Sends frames `first` to `first + count - 1` (at most `maxTransmit`) and returns how many were taken from the front,
   * or a negated error number when not even the first was. Headroom may be written to, where `FramePool.isSlot` says
   * there is any.
   */
  transmit(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number
  /**
   * After `transmit` took fewer than all: the first of the rest was sent in part, so it must come first in the next
   * call and must not be dropped. Of datagrams,
   * one that goes to several remotes of a tunnel can be.
   */
  unfinished?(port: number): boolean
  /** A descriptor that `host.awaitConnected` was asked about is connected, or failed to. */
  connected?(fd: number): void
  /**
   * Another data plane takes over: report with `host.updateRestore` what it needs to go on in the middle of things.
   * `headOf` is the frame that waits first for a port; null where none does.
   */
  handOver?(headOf: (port: number) => Uint8Array | null): void
  /** Says what an error of `transmit` means. May mend the cause, e.g. connect again. */
  fault(port: number, errno: number): Fault
  /** After `fault` said so: takes the port down. */
  gone(port: number): void
  /** The descriptor whose writability means that this port takes frames again; -1 where the kernel does not tell. */
  egressDescriptor(port: number): number
  /** About once a second: probe peers, try to connect. `now` in milliseconds. */
  tick(now: number): void
  /** A message from the transport's half on the main thread. */
  message(message: EndpointMessage): void
  /** Closes its ports and the descriptors it opened itself. */
  close(): void
  /**
   * Instead of `close`, after one of its methods threw: another endpoint goes on with its ports and descriptors. Lets
   * go of what it shares with other endpoints, and of nothing else.
   */
  abandon?(): void
}

export const Fault = {
  /** The port is full; queue, and wait until it is writable. */
  wait: 0,
  /** Call again at once. */
  retry: 1,
  /** This frame cannot be sent; the next one may. */
  skip: 2,
  /** Nobody is there; `gone` follows. */
  gone: 3,
  /** As `skip`: the way to the peer takes no frame of this length. */
  tooLong: 4,
  /** The endpoint does not serve any more: nothing can be sent. */
  failed: 5,
} as const
export type Fault = (typeof Fault)[keyof typeof Fault]

/** What the engine offers to an endpoint. */
export interface EndpointHost {
  readonly os: Os
  readonly pool: FramePool
  /** Milliseconds on the clock all threads share. */
  now(): number
  /**
   * Makes a port for a peer, down. Returns its index, or -1 when the switch has no place for another: then the peer is
   * not served, and counted as `peer-limit`.
   */
  addPort(endpoint: Endpoint, port: EndpointPort): number
  /**
   * Makes a port that the endpoint cannot do without, down. Throws when the switch has no place for it, and the
   * endpoint lets it: it is detached, reported, and tried again.
   */
  needPort(endpoint: Endpoint, port: EndpointPort): number
  /** Detaches an endpoint on whose behalf another one found a fault. */
  failed(endpoint: Endpoint, error: unknown): void
  /** Makes a port that existed in an earlier data plane, with its index and counters. */
  restorePort(endpoint: Endpoint, port: EndpointPort, index: number): void
  /** A restored port that was up is up again; nobody needs to be told. */
  portRestored(index: number): void
  /** The port forwards from now on. Tells everyone who `peer` is. */
  portUp(index: number, update: PortUpdate): void
  /** Forgets its addresses, drops its queue. The port keeps its id and counters. */
  portDown(index: number, update: PortUpdate): void
  /** Ends the port for good. */
  removePort(index: number): void
  /** Calls `receive` whenever the descriptor has something. */
  watch(endpoint: Endpoint, fd: number): void
  unwatch(fd: number): void
  /** Calls `connected` once, when a descriptor that is being connected is writable. */
  awaitConnected(endpoint: Endpoint, fd: number): void
  /** What `portUp` said of restoring is no longer true; this is. Nobody is told but the next data plane. */
  updateRestore(index: number, restore: unknown): void
  /** Calls `receive` for a watched descriptor once more within a millisecond, whether the kernel reports it or not. */
  lookAgain(fd: number): void
  /** 1 for an endpoint's first port, then 2, ...; goes on when the data plane is replaced. */
  nextPortNumber(endpointIndex: number): number
  /** For the descriptors that this endpoint opens for its peers; asked for once, when the endpoint is made. */
  descriptorShare(endpointIndex: number): DescriptorShare
  countDrop(endpointIndex: number, reason: EndpointDropReason, count?: number): void
  /**
   * Tells the operator what is wrong, once, with an endpoint (by its name) or one of its ports (by its index). Cheap
   * when it is raised already, so it may be called for each frame. `message` is one sentence that says what is wrong
   * and the way out.
   */
  raise(subject: string | number, code: FindingCode, message: FindingText, detail?: FindingDetail): void
  /**
   * The condition is over; cheap when nothing is raised. Call it whenever the endpoint sees that all is well: the
   * finding may have been raised by the data plane before this one. A port's findings end with the port.
   */
  clear(subject: string | number, code: FindingCode): void
  /** To the transport's half on the main thread. */
  send(endpointName: string, message: EndpointMessage): void
}

export interface EndpointPort {
  name: string
  transport: string
  kind: string
  policy: EgressPolicy
  /** Addresses, as 48-bit numbers, that always belong to this port. */
  staticAddresses: readonly number[]
}

/** What was set for one port alone, while the switch runs; the main thread keeps it for the next data plane. */
export interface PortSettings {
  /** A port that is not forwards nothing, whoever is at the other end. */
  readonly enabled: boolean
  /** In the place of what its configuration says. */
  readonly policy: Partial<EgressPolicy>
  /** Addresses, as 48-bit numbers, that always belong to this port; all of them, those of its configuration too. */
  readonly staticAddresses: readonly number[]
}

/** What the port gets from its configuration. */
export interface EgressPolicy {
  maxFrameSize: number
  maxEntries: number
  isolated: boolean
  /** Frames that may wait for this port. */
  queueFrames: number
  /** What is done to frames that leave through the port; nothing where it is left out. */
  /** Makes it a mirror: names of the ports and transports whose frames it gets copies of, or `*`. */
  mirrors?: readonly string[] | null
  impairment?: ImpairmentSettings | null
  /** Every frame is reported, within limits. */
  trace?: boolean
}

export interface PortUpdate {
  peer: string | null
  /** What the endpoint needs to take the port over after a restart of the data plane. Structured-cloneable. */
  restore: unknown
  /**
   * What the endpoint opened for this port; closed by the main thread if the data plane dies and the port is not
   * restored.
   */
  descriptors?: readonly number[]
}
