/**
 * Addresses for what has none in the configuration. The kernel would draw one at random, and after a restart the guests
 * would go on sending to the old one until they ask again; so ours come from who we are: this machine, this runtime
 * directory, this name.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

/** Lower case, colons; locally administered, of one station. */
export function madeUpMac(...identity: readonly string[]): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([machineId(), ...identity]))
    .digest()
  const octets = [(digest[0] & 0xfc) | 0x02, ...digest.subarray(1, 6)]
  return octets.map(octet => octet.toString(16).padStart(2, '0')).join(':')
}

/** machine-id(5); a container may have none. */
function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8').trim()
  } catch {
    return hostname()
  }
}
