/**
 * Where a switch keeps what it needs to know of a dead one: the journal (journal.ts) and the leases of dnsmasq.
 *
 * A root process acts on these records, so they lie where only root can write, beside the runtime directory and not in
 * it: with `process.user` the runtime directory belongs to the user that root's rights were given up for.
 *
 *     root              /run/tapswitch-root/<hash of the runtime directory>/
 *     any other user    the runtime directory, which is that user's alone
 */
import { createHash } from 'node:crypto'
import { PrivateFolder } from '../os/private-folder.js'

export const ROOT_FOLDER = '/run/tapswitch-root'

/** Of this process; it is made when something is written. */
export function recordsFolder(runtimeDir: string): PrivateFolder {
  if (process.getuid?.() !== 0) return new PrivateFolder(runtimeDir)
  const name = createHash('sha256').update(runtimeDir).digest('hex').slice(0, 16)
  return new PrivateFolder(`${ROOT_FOLDER}/${name}`, { ownParent: true })
}
