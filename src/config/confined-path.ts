/**
 * Whether a path that came over the API stays where it may be. Nothing that another user can change may lead elsewhere:
 * every folder on the way is really below one of the roots, links resolved, and from the root on none of them may be
 * written to by anyone but the user of the switch and root. So nothing can be put in its place between this look and
 * the moment the path is opened.
 */
import { lstatSync, realpathSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path'

/** Undefined when it may be used; else why not, to stand behind the path. `users` own the folders, beside root. */
export function pathFault(path: string, roots: readonly string[], users: readonly number[]): string | undefined {
  if (!isAbsolute(path) || path.includes('\0')) return 'is not an absolute path'
  const folder = realFolder(dirname(path))
  if (folder === undefined) return 'cannot be looked at'
  const root = roots.map(realOf).find(each => each !== undefined && isWithin(folder, each))
  if (root === undefined) return `is outside ${roots.map(each => `"${each}"`).join(' and ')}`
  for (let each = folder; ; each = dirname(each)) {
    const stats = statOf(each)
    if (stats === undefined || !isPrivate(stats, users)) return `lies in "${each}", which other users may write to`
    if (each === root) break
  }
  const target = join(folder, basename(path))
  if (lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink() === true) return 'is a link'
  return undefined
}

/** Links resolved; where the last folders are missing, of the nearest one that exists. */
function realFolder(folder: string): string | undefined {
  for (let each = folder; ; each = dirname(each)) {
    const stats = lstatSync(each, { throwIfNoEntry: false })
    if (stats !== undefined) return realOf(each)
    if (each === dirname(each)) return undefined
  }
}

function realOf(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false })
}

function isWithin(path: string, root: string): boolean {
  const way = relative(root, path)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}

function isPrivate({ uid, mode }: Stats, users: readonly number[]): boolean {
  return (uid === 0 || users.includes(uid)) && (mode & 0o022) === 0
}
