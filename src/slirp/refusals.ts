/**
 * Why a guest's frame is kept from libslirp: one counter for each reason. The names are what users see in the facts of
 * the interface.
 */
export const refusals = [
  /** To another station, or of a kind that libslirp does not serve. Any network card ignores such frames. */
  'not-ours',
  /** To an address that is not on any network: 127.0.0.0/8, 0.0.0.0/8, ::/80. */
  'unroutable',
  /** From an address that no guest has: a group, loopback, or the stack's own. */
  'source',
  /** The header does not fit its frame, or breaks the rules of its protocol. */
  'arp',
  'ip',
  'tcp',
  'udp',
  'icmp',
  'dhcp',
  'nd',
  /** A protocol, an IPv6 extension header or a service that libslirp is not asked for. */
  'unsupported',
  /** A fragment that no host sends: too short a first one, too long in all, not a multiple of eight bytes. */
  'fragment',
  /** A fragment of which something came before. */
  'overlap',
  /** Fragments of a datagram whose rest did not come in time, or that made room for another. */
  'incomplete',
  /** A DHCP request that there is no address left for. */
  'dhcp-pool',
  /** A DHCP request of a station that has its share of addresses. */
  'dhcp-share',
  /** It would open a connection, and its guest has its share of them. */
  'connections',
  /**
   * A TCP segment that could bring a connection to the sequence number that libslirp cannot bear (sequence-guard.ts).
   */
  'sequence',
] as const
export type Refusal = (typeof refusals)[number]

/**
 * What becomes of a frame: `pass`, `opens` where it may open a socket, otherwise 2 and its place among the refusals.
 */
export const PASS = 0
export const OPENS = 1
const FIRST = 2

const verdictOf = (name: Refusal): number => FIRST + refusals.indexOf(name)

export const Refuse = {
  notOurs: verdictOf('not-ours'),
  unroutable: verdictOf('unroutable'),
  source: verdictOf('source'),
  arp: verdictOf('arp'),
  ip: verdictOf('ip'),
  tcp: verdictOf('tcp'),
  udp: verdictOf('udp'),
  icmp: verdictOf('icmp'),
  dhcp: verdictOf('dhcp'),
  nd: verdictOf('nd'),
  unsupported: verdictOf('unsupported'),
  fragment: verdictOf('fragment'),
  overlap: verdictOf('overlap'),
  incomplete: verdictOf('incomplete'),
  dhcpPool: verdictOf('dhcp-pool'),
  dhcpShare: verdictOf('dhcp-share'),
  connections: verdictOf('connections'),
  sequence: verdictOf('sequence'),
} as const

/** One cell for each reason, in the order of `refusals`; another thread may read the memory. */
export class RefusalCounts {
  readonly #cells: Float64Array<ArrayBufferLike>

  constructor(cells: Float64Array<ArrayBufferLike> = new Float64Array(refusals.length)) {
    this.#cells = cells
  }

  add(verdict: number, frames = 1): void {
    this.#cells[verdict - FIRST] += frames
  }

  of(name: Refusal): number {
    return this.#cells[refusals.indexOf(name)]
  }

  /** All but `not-ours`, which is what a switch floods. */
  get total(): number {
    return this.#cells.reduce((sum, count) => sum + count, 0) - this.of('not-ours')
  }

  /** Those that are not zero. */
  list(): [Refusal, number][] {
    return refusals.map((name, i): [Refusal, number] => [name, this.#cells[i]]).filter(([, count]) => count > 0)
  }
}
