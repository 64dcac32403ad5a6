/**
 * The control token that the switch makes for itself: a file in the runtime directory, which only the user who runs the
 * switch may read. The command line finds it there, so that on one's own machine no token has to be configured.
 *
 * The file is made at the first start, complete before it has its name, and used again by later starts while it is
 * good: a regular file with one name, mode 0600, of the user who runs the switch, with a token in it. A file that is
 * not good is replaced. With `process.user` the file belongs to that user; root reads it without following links and
 * takes nothing from it but a token.
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { ProcessConfig } from '../config/process.js'
import { OperatorError } from '../errors.js'

const TOKEN_BYTES = 32
const GOOD = /^[\x21-\x7e]{16,512}$/
/** Bytes read of a file: the longest token and its line feed. */
const MAX_FILE = 514

export const controlTokenFile = (runtimeDir: string): string => join(runtimeDir, 'control.token')

/** Whether it is 256 random bits, as the switch makes them: nothing is to be feared from guesses at those. */
export const isRandomToken = (token: string): boolean => /^[\w-]{43}$/.test(token)

export interface ControlToken {
  readonly token: string
  /** Removes the file again if it was made now: a start that is refused leaves nothing behind. */
  takeBack(): void
}

/**
 * Returns the token in the runtime directory, which exists and is ours; makes one where there is none that is good.
 * Throws OperatorError.
 */
export function ensureControlToken(runtimeDir: string, successor: ProcessConfig | null = null): ControlToken {
  const found = findControlToken(runtimeDir, [successor?.uid ?? ownUid()])
  if (found !== undefined) return { token: found, takeBack: () => {} }
  const file = controlTokenFile(runtimeDir)
  return { token: write(file, successor), takeBack: () => rmSync(file, { force: true }) }
}

/**
 * Undefined when there is none, none that this process may read, or none that is good. `owners` are those it may belong
 * to.
 */
export function findControlToken(runtimeDir: string, owners: readonly number[] = [ownUid()]): string | undefined {
  let fd: number
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    fd = openSync(controlTokenFile(runtimeDir), flags)
  } catch {
    return undefined
  }
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile() || stats.nlink !== 1 || (stats.mode & 0o077) !== 0) return undefined
    if (!owners.includes(stats.uid)) return undefined
    const bytes = Buffer.alloc(MAX_FILE)
    const token = bytes.toString('latin1', 0, readSync(fd, bytes, 0, MAX_FILE, 0)).trim()
    return GOOD.test(token) ? token : undefined
  } finally {
    closeSync(fd)
  }
}

const ownUid = (): number => process.getuid?.() ?? 0

function write(file: string, successor: ProcessConfig | null): string {
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  const fresh = `${file}.${randomBytes(6).toString('hex')}`
  try {
    const fd = openSync(fresh, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
    try {
      if (successor !== null && process.getuid?.() === 0) fchownSync(fd, successor.uid, successor.gid)
      writeWhole(fd, `${token}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(fresh, file)
    return token
  } catch (error) {
    rmSync(fresh, { force: true })
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    const message = `the control token "${file}" cannot be written (${why})`
    throw new OperatorError(message, { path: 'runtimeDir', cause: error })
  }
}

/** A nearly full disk takes a part of it without an error. */
function writeWhole(fd: number, text: string): void {
  const bytes = Buffer.from(text)
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
}
