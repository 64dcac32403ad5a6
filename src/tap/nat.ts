/**
 * The packet filter of `mode: shared`, as one nftables table of our own, which nobody else's rules are mixed with.
 *
 * What it does: the guests' packets leave under the host's address; nobody beyond the host opens a connection to a
 * guest, as behind any NAT; a guest sends from an address of its network or not at all; nothing for 127.0.0.0/8 is
 * taken from a guest, also where route_localnet is on. Guests do reach the host's other addresses, as from any network
 * the host is in. Only IPv4 is forwarded.
 *
 * What it cannot do: a packet has to be accepted by every table. Where another one drops what it does not know
 * (firewalld, ufw, Docker's FORWARD policy), that one has to be told about the TAP: docs/interfaces.md.
 */
import { formatNetwork, type Ipv4Interface } from '../wire/ipv4-network.js'
import { ProgramError, runProgram } from './programs.js'

export function tableName(device: string): string {
  return `tapswitch_${device}`
}

/** Input for `nft -f`: in one transaction, in place of a table of this name that a dead switch left. */
export function natRules(device: string, network: Ipv4Interface, comment: string): string {
  const table = `inet ${tableName(device)}`
  const guests = formatNetwork(network)
  const inward = `iifname "${device}"`
  const outward = `oifname "${device}"`
  return `add table ${table}
delete table ${table}
table ${table} {
  comment "${comment}"
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr ${guests} oifname != "${device}" masquerade
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ${inward} ip saddr ${guests} accept
    ${inward} drop
    ${outward} ct state established,related accept
    ${outward} drop
  }
  chain input {
    type filter hook input priority 0; policy accept;
    ${inward} ip daddr 127.0.0.0/8 drop
    ${inward} ip saddr ${guests} accept
    ${inward} ip saddr 0.0.0.0 udp dport 67 accept
    ${inward} meta nfproto ipv4 drop
  }
}
`
}

/** Throws ProgramError. */
export async function loadRules(netns: string | null, rules: string): Promise<void> {
  try {
    await runProgram('nft', ['-f', '-'], { netns, input: rules })
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error
    throw new ProgramError('nft', ['-f', '-'], error.said.replace(/^\/dev\/stdin:/, 'line '))
  }
}
