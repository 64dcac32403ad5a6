/**
 * The runtime directory: where relative socket paths start. Whoever may write to it may put a socket in the way of a VM, so it
 * is ours alone (0700), and one that is not is refused rather than mended.
 */
import { lstatSync, mkdirSync, rmdirSync } from 'node:fs'
import { OperatorError } from '../errors.js'

/**
 * Makes the directory where it is missing. Returns what undoes that, if it is empty then. It may be that of `successor` too, whom
 * an earlier run went on as.
 */
export function ensureRuntimeDir(path: string, successor: number | null = null): () => void {
  const made = make(path)
  const stats = lstatSync(path)
  const about = { path: 'runtimeDir', value: path }
  if (!stats.isDirectory()) throw new OperatorError(`"${path}" is not a directory`, about)
  const uid = process.getuid?.()
  if (stats.uid !== uid && stats.uid !== successor) {
    throw new OperatorError(`"${path}" belongs to user ${stats.uid}, must be ours (user ${uid})`, about)
  }
  const mode = stats.mode & 0o777
  if ((mode & 0o077) !== 0) {
    throw new OperatorError(`"${path}" has mode 0${mode.toString(8)}, must be 0700 (chmod 700 "${path}")`, about)
  }
  return () => {
    if (!made) return
    try {
      rmdirSync(path)
    } catch {
      // somebody's file is in it
    }
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
