/**
 * Peers that cannot be served: each is counted by reason, and the operator is told once for each cause.
 *
 * A peer whose socket is not there is mostly one that ended just after it sent, which is nothing to tell. It is told
 * when frames of the same peer go on arriving for UNREACHABLE_MS: then it lives, and its path means something else
 * here.
 */
import type { EndpointHost } from '../../dataplane/endpoint.js'
import type { EndpointDropReason } from '../../dataplane/shared-memory.js'
import type { FindingCode } from '../../finding-codes.js'
import type { Layout } from '../../os/layout.js'

const UNREACHABLE_MS = 1500
/** Of peers that were not reached; a second series begins after so long. */
const FORGET_MS = 10_000
const MAX_UNREACHED = 16

const findings: Partial<Record<EndpointDropReason, { code: FindingCode; message: (peer: string) => string }>> = {
  unbound: {
    code: 'peer-unbound',
    message: () =>
      'a program sends frames from a socket without a name and cannot be answered: bind its socket (local.path= with QEMU)',
  },
  'relative-name': {
    code: 'peer-relative-name',
    message: peer =>
      `a peer is bound to the relative path "${peer}", which means another file here, and is not served: give it an absolute path`,
  },
  'no-access': {
    code: 'peer-no-access',
    message: peer =>
      `"${peer}" sends frames, but this user may not write to its socket: start that VM with umask 002 and a group in common, or run both as one user`,
  },
  'peer-gone': {
    code: 'peer-unreachable',
    message: peer =>
      `"${peer}" sends frames, but no socket answers at that path here: share its directory with the switch under the same path`,
  },
  'peer-limit': {
    code: 'peer-limit',
    message: peer =>
      `"${peer}" is refused and hears nothing, because all places for peers are taken: raise maxPeers, or switch.maxPorts`,
  },
}

export class Refusals {
  readonly #host: EndpointHost
  readonly #name: string
  readonly #index: number
  /** Peers whose socket was not there, and since when and until when. */
  readonly #unreached = new Map<string, { since: number; last: number }>()

  /** `name` and `index` of the endpoint. */
  constructor(host: EndpointHost, name: string, index: number) {
    this.#host = host
    this.#name = name
    this.#index = index
  }

  /** `peer` for people. */
  refuse(reason: EndpointDropReason, peer: string): void {
    this.#host.countDrop(this.#index, reason)
    if (reason === 'peer-gone' && !this.#staysUnreached(peer)) return
    const finding = findings[reason]
    if (finding !== undefined) this.#host.raise(this.#name, finding.code, () => finding.message(peer), { peer })
  }

  /** Descriptors or handoffs are short: peers are served all the same, but less well. */
  warn(code: 'descriptor-limit' | 'handoff-limit', message: string): void {
    this.#host.raise(this.#name, code, message)
  }

  #staysUnreached(peer: string): boolean {
    const now = this.#host.now()
    const known = this.#unreached.get(peer)
    if (known !== undefined && now - known.last < FORGET_MS) {
      known.last = now
      return now - known.since >= UNREACHABLE_MS
    }
    if (this.#unreached.size >= MAX_UNREACHED) {
      for (const [other, { last }] of this.#unreached) if (now - last >= FORGET_MS) this.#unreached.delete(other)
    }
    if (known !== undefined || this.#unreached.size < MAX_UNREACHED)
      this.#unreached.set(peer, { since: now, last: now })
    return false
  }
}

const SLASH = 0x2f

/** Whether a peer's address means the same file to every process: an absolute path, or an abstract name of Linux. */
export function isResolvable({ sockaddrUn: { pathOffset } }: Layout, address: Uint8Array): boolean {
  const first = address[pathOffset]
  return first === SLASH || first === 0
}
