/** What the two halves of the vmnet interface tell each other. Everything here crosses threads by structured clone. */
import type { EgressPolicy } from '../dataplane/endpoint.js'

export const VMNET = 'vmnet'

export interface VmnetEndpointOptions {
  readonly policy: EgressPolicy
  readonly staticAddresses: readonly number[]
  /** Where the library with vmnet_read and vmnet_write is. */
  readonly library: string
  /** interface_ref; good until this endpoint is closed. */
  readonly reference: number
  /** For people: the host's address, or the interface it is bridged to. */
  readonly peer: string
  readonly maxPacketSize: number
  readonly readMaxPackets: number
  readonly writeMaxPackets: number
  /** The waker that rings when frames have arrived. */
  readonly readFd: number
  readonly writeFd: number
}

/** Data plane to main thread: a call failed with this status; not more often than once a second for each. */
export interface VmnetUpcall {
  readonly type: 'failed'
  readonly call: 'read' | 'write'
  readonly status: number
}
