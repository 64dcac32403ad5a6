/**
 * Which folders can be trusted to hold what this process put there.
 *
 * A user who may write to a folder may rename an entry away and put another one in its place. So a private folder is as
 * safe as every folder on the way to it, links included: each must belong to root or to us, and no other user may write
 * to it, unless its sticky bit (as of /tmp) keeps users from each other's entries. Where that holds, what `lstat` said
 * of an entry still holds at the next call.
 */
import { lstatSync, readlinkSync, type Stats } from 'node:fs'
import { join } from 'node:path'

const STICKY = 0o1000
const BY_OTHERS = 0o002
const BY_GROUP = 0o020
/** As many as the kernel follows (path_resolution(7)). */
const MAX_LINKS = 40

/**
 * The first folder above `path` that another user could change, as a clause such as `"/srv" may be written by others`;
 * undefined where there is none. Folders that do not exist yet end the search. `owners`: the numbers of users that are
 * trusted, besides root.
 */
export function untrustedAncestor(path: string, owners: readonly number[]): string | undefined {
  let folder = '/'
  let links = 0
  const left = path.split('/').filter(part => part !== '')
  while (left.length > 0) {
    const stats = lstatSync(folder, { throwIfNoEntry: false })
    if (stats === undefined) return undefined
    const why = folderFault(stats, owners)
    if (why !== undefined) return `"${folder}" ${why}`
    // What remains is the path itself, which the caller judges.
    if (left.length === 1) return undefined
    const part = left.shift() as string
    const next = part === '..' ? join(folder, '..') : join(folder, part)
    const link = lstatSync(next, { throwIfNoEntry: false })
    if (link?.isSymbolicLink() !== true) {
      folder = next
      continue
    }
    if (!isTrusted(link.uid, owners)) return `"${next}" is a link that user ${link.uid} made`
    if (++links > MAX_LINKS) return `"${next}" is one link too many`
    const target = readlinkSync(next)
    left.unshift(...target.split('/').filter(each => each !== '' && each !== '.'))
    if (target.startsWith('/')) folder = '/'
  }
  return undefined
}

const isTrusted = (uid: number, owners: readonly number[]) => uid === 0 || owners.includes(uid)

function folderFault({ uid, gid, mode }: Stats, owners: readonly number[]): string | undefined {
  if (!isTrusted(uid, owners)) return `belongs to user ${uid}`
  if ((mode & STICKY) !== 0) return undefined
  if ((mode & BY_OTHERS) !== 0) return 'may be written by others'
  // A user's own group has that user alone.
  if ((mode & BY_GROUP) !== 0 && gid !== 0 && gid !== process.getgid?.()) return `may be written by group ${gid}`
  return undefined
}
