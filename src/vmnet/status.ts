/** What vmnet's calls answer (vmnet_return_t), as errors that say what to do. Success is 1000, not 0. */
import { OperatorError } from '../errors.js'

export const Status = {
  SUCCESS: 1000,
  FAILURE: 1001,
  MEM_FAILURE: 1002,
  INVALID_ARGUMENT: 1003,
  SETUP_INCOMPLETE: 1004,
  INVALID_ACCESS: 1005,
  PACKET_TOO_BIG: 1006,
  BUFFER_EXHAUSTED: 1007,
  TOO_MANY_PACKETS: 1008,
  SHARING_SERVICE_BUSY: 1009,
  NOT_AUTHORIZED: 1010,
} as const
export type StatusName = keyof typeof Status | 'TIMEOUT' | 'UNKNOWN'

const names = new Map<number, StatusName>(Object.entries(Status).map(([name, value]) => [value, name as StatusName]))

export const statusName = (status: number): StatusName => names.get(status) ?? 'UNKNOWN'

const permission =
  'vmnet needs root up to macOS 15; from macOS 26 a node that is signed with com.apple.security.virtualization may do without (scripts/macos-sign-node.sh makes one)'

/** What usually causes a status, and what helps. Where two causes look the same from here, both are named. */
const advice: Partial<Record<StatusName, string>> = {
  FAILURE: `${permission}. With permission: the subnet may belong to an interface of another mode or to another program; leave the addresses out and vmnet takes a free one`,
  MEM_FAILURE: `vmnet says this too when permission is missing: ${permission}`,
  INVALID_ARGUMENT: 'vmnet does not take this combination of options; `tapswitch check` says what it can of it',
  SETUP_INCOMPLETE: 'the interface is not ready yet; start it again',
  INVALID_ACCESS: `${permission}`,
  SHARING_SERVICE_BUSY:
    "macOS's Internet Sharing, or another program, has this subnet; choose another one, or leave the addresses out",
  NOT_AUTHORIZED: permission,
  TIMEOUT: 'vmnet did not call back; look for messages of vmnetd or InternetSharing in the system log',
}

/** Something vmnet refused. `code` is TAPSWITCH_VMNET_ and the name of the status. */
export class VmnetError extends OperatorError {
  override readonly name = 'VmnetError'
  override readonly code: string
  /** vmnet_return_t; 0 where vmnet answered nothing. */
  readonly status: number

  /** `what` was tried: "start the interface". */
  constructor(what: string, status: number, timedOut = false) {
    const name = timedOut ? 'TIMEOUT' : statusName(status)
    const answer = timedOut ? 'no answer in time' : `${name} (${status})`
    const help = advice[name]
    super(`vmnet did not ${what}: ${answer}${help === undefined ? '' : `. ${help}`}`, { value: status })
    this.code = `TAPSWITCH_VMNET_${name}`
    this.status = status
  }
}

/** Throws unless the status is SUCCESS. */
export function check(what: string, status: number): void {
  if (status !== Status.SUCCESS) throw new VmnetError(what, status)
}
