/**
 * The runtime directory: where relative socket paths start. Another user who may write to it, or to a folder above it,
 * can put a socket in the way of a VM. So it is ours alone (0700), no other user can put another one in its place, and
 * one that is not so is refused rather than mended.
 *
 * With `process.user` it belongs to that user while the switch runs. Root takes it back first when it starts again:
 * what that user left in it is there, but cannot be exchanged any more between a look at it and its use.
 */
import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmdirSync,
  type Stats,
} from 'node:fs'
import { OperatorError } from '../errors.js'
import { untrustedAncestor } from '../os/folder-trust.js'

/**
 * Makes the directory where it is missing. Returns what undoes that, if it is empty then. It may belong to `successor`
 * too, the user that an earlier run of root went on as.
 */
export function ensureRuntimeDir(path: string, successor: number | null = null): () => void {
  const uid = process.getuid?.() ?? 0
  const about = { path: 'runtimeDir', value: path }
  const replaceable = replaceableProblem(path, uid)
  if (replaceable !== undefined) throw new OperatorError(replaceable, about)
  const made = make(path)
  const stats = lstatSync(path)
  const problem = runtimeDirProblem(path, stats, uid, successor)
  if (problem !== undefined) throw new OperatorError(problem, about)
  const giveBack = uid === 0 && stats.uid !== 0 ? take(path, stats.uid) : () => {}
  return () => {
    if (made) removeIfEmpty(path)
    else giveBack()
  }
}

/** Returns what gives the directory back, for a start that failed; once root is given up it does nothing. */
function take(path: string, owner: number): () => void {
  const give = (from: number, to: number) => {
    const fd = openSync(path, constants.O_DIRECTORY | constants.O_NOFOLLOW)
    try {
      if (fstatSync(fd).uid === from) fchownSync(fd, to, fstatSync(fd).gid)
    } finally {
      closeSync(fd)
    }
  }
  give(owner, 0)
  return () => {
    if (process.getuid?.() === 0) give(0, owner)
  }
}

function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // A file of another program is in it.
  }
}

function make(path: string): boolean {
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return false
    mkdirSync(path, { mode: 0o700, recursive: true })
    return true
  } catch (error) {
    throw new OperatorError(`cannot make "${path}": ${(error as Error).message}`, {
      path: 'runtimeDir',
      value: path,
      cause: error,
    })
  }
}

/** Why another user could put another directory in the place of this one, which need not exist, with the way out. */
export function replaceableProblem(path: string, uid: number): string | undefined {
  const untrusted = untrustedAncestor(path, [uid])
  return untrusted && `"${path}" can be replaced by another user: ${untrusted}; set another runtimeDir`
}

/**
 * Why an existing directory cannot be the runtime directory, with the way out; `stats` are those of lstat(2), which
 * follows no link.
 */
export function runtimeDirProblem(
  path: string,
  stats: Pick<Stats, 'isDirectory' | 'uid' | 'mode'>,
  uid: number,
  successor: number | null = null,
): string | undefined {
  if (!stats.isDirectory()) return `"${path}" is not a directory`
  if (stats.uid !== uid && stats.uid !== successor) {
    return `"${path}" belongs to user ${stats.uid}, must be ours (user ${uid}); set another runtimeDir`
  }
  const mode = stats.mode & 0o777
  if ((mode & 0o077) === 0) return undefined
  return `"${path}" has mode 0${mode.toString(8)}, must be 0700 (chmod 700 "${path}")`
}
