/**
 * The codes of findings: what can be wrong with a running switch, and what the operator does about it. The table is the
 * one place for this knowledge: the API, the metric's label values, docs/operations.md and the command line are made from it.
 *
 * A new kind of trouble is one more row. Keep the rows sorted by code.
 */

export type Severity = 'warning' | 'error'

interface CodeEntry {
  /** `error`: something that is configured does not work at all. `warning`: it works, but less well or not for everyone. */
  readonly severity: Severity
  /** One sentence. */
  readonly meaning: string
  /** What the operator does about it; one sentence. */
  readonly cure: string
  /** The finding ends by itself when it was not raised for so long. Absent: whoever raised it clears it. */
  readonly quietSeconds?: number
}

const codes = {
  'dhcp-lost': {
    severity: 'error',
    meaning: 'The DHCP server of a TAP was ended from outside, with its supervisor, and is not started again.',
    cure: 'Reload the switch after a change of the interface, or restart it.',
  },
  'dhcp-pool-full': {
    severity: 'error',
    meaning: 'A guest asked for an address by DHCP, and all of the range are given out.',
    cure: 'Widen the range of addresses, shorten the lease time, or give guests fixed MAC addresses (slirp: 16 addresses, and no lease ends).',
    quietSeconds: 300,
  },
  'duplicate-mac': {
    severity: 'warning',
    meaning: 'One MAC address keeps moving between two ports: two stations use it, or there is a loop.',
    cure: 'Give each VM a MAC address of its own; with a loop, remove one of the two links.',
    quietSeconds: 30,
  },
  'fdb-full': {
    severity: 'warning',
    meaning: 'The filtering database has no place for more addresses; frames to the others are flooded.',
    cure: 'Raise switch.fdb.maxEntries, or find the port that uses many addresses and limit it with port.fdb.maxEntries.',
    quietSeconds: 60,
  },
  'fdb-port-full': {
    severity: 'warning',
    meaning: 'A port has as many addresses as it may have; frames to its others are flooded.',
    cure: 'Raise port.fdb.maxEntries of its transport, or find out why one guest uses so many addresses.',
    quietSeconds: 60,
  },
  'no-name-servers': {
    severity: 'warning',
    meaning:
      'The host names no DNS server that can be asked for the guests, or a dead one, so their questions stay without an answer.',
    cure: 'Mend /etc/resolv.conf (slirp: the first IPv4 server has to answer), or name servers in the interface (tap: dhcp.dns).',
  },
  'port-limit': {
    severity: 'error',
    meaning: 'All of switch.maxPorts is in use, and a transport needs another port.',
    cure: 'Raise switch.maxPorts and restart, or limit the peers of a transport.',
  },
  'slirp-connections-full': {
    severity: 'warning',
    meaning:
      'A guest of a slirp interface, or its forwards, have as many connections as they may have; further ones are refused.',
    cure: 'Raise maxConnections of the interface, or find what holds so many.',
    quietSeconds: 60,
  },
  'static-address-refused': {
    severity: 'error',
    meaning: 'The filtering database is full of static addresses, and those of a port found no place.',
    cure: 'Raise switch.fdb.maxEntries, or give the switch fewer static addresses.',
  },
  'transport-failed': {
    severity: 'error',
    meaning:
      'A transport or interface failed and was detached, or could not be attached; others go on, and it is tried again.',
    cure: 'The message has the reason. What says "no place" needs a larger switch.maxPorts; another reason is a fault of tapswitch: report it.',
  },
  'transport-fault': {
    severity: 'error',
    meaning: 'A callback of a transport or interface failed on the main thread; it goes on without what it was doing.',
    cure: 'It is a fault of tapswitch: report it, with the stack from the log. Open the transport anew if its peers notice.',
    quietSeconds: 60,
  },
} as const satisfies Readonly<Record<string, CodeEntry>>

export type FindingCode = keyof typeof codes

export const findingCodes: Readonly<Record<FindingCode, CodeEntry>> = codes

export const findingCodeNames = Object.keys(codes) as FindingCode[]

/** Names in camelCase; for programs. */
export type FindingDetail = Readonly<Record<string, string | number | boolean | null>>

/** The rows of the table in docs/operations.md. */
export function findingTable(): string {
  const rows = findingCodeNames.map(code => {
    const { severity, meaning, cure, quietSeconds } = findingCodes[code]
    const ends = quietSeconds === undefined ? 'when mended' : `after ${quietSeconds} s without it`
    return `| \`${code}\` | ${severity} | ${meaning} | ${cure} | ${ends} |`
  })
  return ['| Code | Severity | Meaning | Cure | Ends |', '|---|---|---|---|---|', ...rows].join('\n')
}
