/**
 * Tells the operator when guests are refused for want of connections or of DHCP addresses. It looks at counters once a
 * second, so a guest that asks in a loop causes one finding, which ends by itself when the asking does.
 */
import { type SlirpConfig, slirpLeases } from '../config/interfaces/slirp.js'
import type { OwnFindings } from '../transports/transport.js'
import { formatMac, highOf, lowOf } from '../wire/ethernet.js'
import { formatIpv4, parseIpv4 } from '../wire/ip-address.js'
import type { SlirpCounts } from './shared-state.js'

const LOOK_MS = 1000

type Counts = Pick<SlirpCounts, 'sockets' | 'forwarded' | 'refusedGuest' | 'connections' | 'dhcp-pool'>

export class GuestLimits {
  readonly #config: SlirpConfig
  readonly #counts: () => Counts
  readonly #findings: OwnFindings
  #refused = 0
  #unanswered = 0
  #timer: NodeJS.Timeout | null = null

  constructor(config: SlirpConfig, counts: () => Counts, findings: OwnFindings) {
    this.#config = config
    this.#counts = counts
    this.#findings = findings
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_MS)
    this.#timer.unref()
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** Counters begin anew with a new stack. */
  look(): void {
    const counts = this.#counts()
    if (counts.connections > this.#refused) this.#connections(counts)
    else if (counts.forwarded >= this.#config.maxConnections) this.#forwards(counts)
    if (counts['dhcp-pool'] > this.#unanswered) this.#addresses()
    this.#refused = counts.connections
    this.#unanswered = counts['dhcp-pool']
  }

  #connections({ sockets, refusedGuest }: Counts): void {
    const { maxConnections } = this.#config
    const guest = formatMac(highOf(refusedGuest), lowOf(refusedGuest))
    this.#findings.raise({
      code: 'slirp-connections-full',
      message: `guest ${guest} has its share of connections, further ones are refused (all guests have ${sockets} of maxConnections, ${maxConnections}); raise maxConnections of the interface, or find out why it opens so many`,
      detail: { guest, connections: sockets, maxConnections },
    })
  }

  #forwards({ forwarded }: Counts): void {
    const { maxConnections } = this.#config
    this.#findings.raise({
      code: 'slirp-connections-full',
      message: `${forwarded} connections have come in through forwards, as many as maxConnections, and further ones wait; raise maxConnections of the interface, or limit who reaches the forwarded ports`,
      detail: { forwarded, maxConnections },
    })
  }

  #addresses(): void {
    const { dhcpStart } = this.#config
    const last = formatIpv4((parseIpv4(dhcpStart) as number) + slirpLeases - 1)
    this.#findings.raise({
      code: 'dhcp-pool-full',
      message: `a guest gets no address by DHCP: all ${slirpLeases} from ${dhcpStart} to ${last} are given away, and no lease ends before the interface is opened anew; give it an address of its own, and VMs that come and go fixed MAC addresses`,
      detail: { dhcpStart, addresses: slirpLeases },
    })
  }
}
