/**
 * The codes of findings: what can be wrong with a running switch, and what the operator does about it. The table is the
 * one place for this knowledge: the API, the metric's label values, docs/operations.md and the command line are made
 * from it.
 *
 * A new kind of trouble is one more row. Keep the rows sorted by code.
 */

export type Severity = 'warning' | 'error'

interface CodeEntry {
  /**
   * `error`: something that is configured does not work at all. `warning`: it works, but less well or not for everyone.
   */
  readonly severity: Severity
  /** One sentence. */
  readonly meaning: string
  /** What the operator does about it; one sentence. */
  readonly cure: string
  /** The finding ends by itself when it was not raised for so long. Absent: the code that raised it clears it. */
  readonly quietSeconds?: number
}

const codes = {
  'descriptor-limit': {
    severity: 'warning',
    meaning:
      'The open files that peers of this transport may take are used up; further peers are refused, or served more slowly.',
    cure: 'Raise the limit of open files (LimitNOFILE= in the unit, or ulimit -n), or lower maxPeers; tapswitch doctor says how many are needed.',
    quietSeconds: 60,
  },
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
  'forward-failed': {
    severity: 'error',
    meaning: 'A port forward of a slirp interface is not in force.',
    cure: 'Free the address or path that the message names, then remove the forward and add it again.',
  },
  'handoff-limit': {
    severity: 'warning',
    meaning: 'Clients connect to the path so fast that some share a socket for a second or more.',
    cure: 'Find the guest or launcher that connects again and again; its port goes up and down in the events.',
    quietSeconds: 60,
  },
  'internal-fault': {
    severity: 'error',
    meaning:
      'tapswitch met an exception that no part of it expected. Frames are forwarded on, but something may be wrong from then on.',
    cure: 'Report it, with the stack from the log. Restart the switch when its VMs can do without it.',
  },
  'libslirp-faulty': {
    severity: 'warning',
    meaning:
      'The installed libslirp has memory faults that guests can reach; what they can do is bounded by its process.',
    cure: 'Update libslirp.',
  },
  'log-not-written': {
    severity: 'warning',
    meaning: 'Lines of the log are lost: the disk is full, or the reader of stderr does not read or is gone.',
    cure: 'Make space, or restart the reader; tapswitch_log_lines_dropped_total counts what is lost. The switch goes on meanwhile.',
  },
  'no-name-servers': {
    severity: 'warning',
    meaning:
      'The host names no DNS server that can be asked for the guests, or a dead one, so their questions stay without an answer.',
    cure: 'Mend /etc/resolv.conf (slirp: the first IPv4 server has to answer), or name servers in the interface (tap: dhcp.dns).',
  },
  'peer-duplicate-name': {
    severity: 'warning',
    meaning: 'Two programs use one socket path for themselves, and only the one that started last hears the switch.',
    cure: 'Give each VM a local.path of its own, and start it again.',
  },
  'peer-frame-size': {
    severity: 'warning',
    meaning: 'A frame is too long for the socket buffer towards a peer.',
    cure: 'Raise net.core.wmem_max, or lower maxFrameSize of the port.',
    quietSeconds: 60,
  },
  'peer-limit': {
    severity: 'warning',
    meaning: 'A transport has as many peers as maxPeers allows; further peers are refused and hear nothing.',
    cure: 'Raise maxPeers of the transport, or use another transport for some of the VMs.',
    quietSeconds: 60,
  },
  'peer-no-access': {
    severity: 'warning',
    meaning: "The switch may not write to a peer's socket, so the peer is not served.",
    cure: 'Start the VM with umask 002 and a group that the switch is in too, or run both as one user.',
    quietSeconds: 60,
  },
  'peer-relative-name': {
    severity: 'warning',
    meaning: 'A peer is bound to a relative path, which would mean another file here, so the peer is not served.',
    cure: 'Give the VM an absolute path, e.g. local.path=/run/vm1.sock.',
    quietSeconds: 60,
  },
  'peer-unbound': {
    severity: 'warning',
    meaning: 'A program sends frames from a socket without a name, so it cannot be answered and is not served.',
    cure: 'Bind its socket: local.path= with QEMU; vfkit and libkrun do so by themselves.',
    quietSeconds: 60,
  },
  'peer-unreachable': {
    severity: 'warning',
    meaning: "A peer's frames arrive, but its socket is not found at its path, so the peer is not served.",
    cure: 'Share the directory of its socket with the switch under the same path: the two are in different mount namespaces or roots.',
    quietSeconds: 60,
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
  'slirp-died': {
    severity: 'warning',
    meaning:
      'The process of a slirp interface died and was started again; guests lost their connections to the outside.',
    cure: 'Update libslirp; if it goes on, find the guest that causes it: the message names the signal or the error.',
    quietSeconds: 3600,
  },
  'slirp-restarting': {
    severity: 'error',
    meaning: 'The process of a slirp interface does not run; guests reach nothing outside until it does.',
    cure: 'Wait: it is started again, every 5 s at the slowest; if it never runs, the message says why.',
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
