/**
 * A folder of files that this user alone can write, and that are read back later: what is in it decides what a process
 * with privileges does, so it is believed only if no other user can have written it.
 *
 * The folder is 0700 and ours, and no folder on the way to it can be changed by another user (folder-trust.ts). Each
 * file is opened without following a link, and must be a regular file with one name, ours, closed to all others.
 * Anything else is refused with OperatorError: one sentence that says what is wrong and how to mend it. Nothing is
 * changed then.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { OperatorError } from '../errors.js'
import { untrustedAncestor } from './folder-trust.js'

const { O_RDONLY, O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants
/** Bytes; arbitrary, far above any record of ours. */
const MAX_FILE = 1024 * 1024

export class PrivateFolder {
  readonly path: string
  readonly #uid = process.getuid?.() ?? 0
  readonly #ownParent: boolean

  /** `ownParent`: the folder above it is one of these, too, and is made where it is missing. */
  constructor(path: string, { ownParent = false }: { ownParent?: boolean } = {}) {
    this.path = path
    this.#ownParent = ownParent
  }

  /** Whether this process is still the user whose folder it is; it may have given up root since. */
  get isOurs(): boolean {
    return process.getuid?.() === this.#uid
  }

  /** Makes it where it is missing. */
  ensure(): void {
    const folders = this.#ownParent ? [dirname(this.path), this.path] : [this.path]
    for (const folder of folders) {
      try {
        mkdirSync(folder, { mode: 0o700 })
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        if (code !== 'EEXIST') throw new OperatorError(`cannot make "${folder}": ${message}`, { cause: error })
      }
    }
    this.#check()
  }

  /** Names of what is in it; none where it does not exist. */
  names(): readonly string[] {
    if (lstatSync(this.path, { throwIfNoEntry: false }) === undefined) return []
    this.#check()
    return readdirSync(this.path)
  }

  /** Text of a file; undefined where there is none. */
  read(name: string): string | undefined {
    const path = join(this.path, name)
    let fd: number
    try {
      fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw refusal(path, error)
    }
    try {
      requireOwnFile(path, fstatSync(fd), this.#uid)
      return readFileSync(fd, 'utf8')
    } finally {
      closeSync(fd)
    }
  }

  /** Replaces a file in one step. */
  write(name: string, text: string): void {
    this.ensure()
    const beside = join(this.path, `${name}.new`)
    rmSync(beside, { force: true })
    writeFileSync(beside, text, { mode: 0o600, flag: 'wx' })
    renameSync(beside, join(this.path, name))
  }

  /**
   * Opens a file to read and write, makes it (0600) where it is missing. `owners`: who may have it besides us. The
   * caller closes it.
   */
  open(name: string, owners: readonly number[] = []): number {
    this.ensure()
    const path = join(this.path, name)
    let fd: number
    try {
      fd = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600)
    } catch (error) {
      throw refusal(path, error)
    }
    try {
      requireOwnFile(path, fstatSync(fd), this.#uid, ...owners)
      return fd
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  /** Idempotent. */
  remove(name: string): void {
    rmSync(join(this.path, name), { force: true })
  }

  /** Removes what `ensure` made, if nothing is in it any more. */
  removeIfEmpty(): void {
    if (!this.#ownParent) return
    try {
      rmdirSync(this.path)
      rmdirSync(dirname(this.path))
    } catch {
      // Another process has something in it.
    }
  }

  #check(): void {
    const folders = this.#ownParent ? [dirname(this.path), this.path] : [this.path]
    const ancestor = untrustedAncestor(folders[0], [this.#uid])
    if (ancestor !== undefined) throw new OperatorError(`"${this.path}" is not used: ${ancestor}`)
    for (const folder of folders) {
      const stats = lstatSync(folder)
      const why = !stats.isDirectory() ? 'is no directory' : ownershipFault(stats, [this.#uid])
      if (why !== undefined) throw new OperatorError(`"${folder}" ${why}; remove it, and start again`)
    }
  }
}

function requireOwnFile(path: string, stats: Stats, ...owners: readonly number[]): void {
  const why = !stats.isFile()
    ? 'is no regular file'
    : stats.nlink !== 1
      ? 'has a second name'
      : stats.size > MAX_FILE
        ? `is larger than ${MAX_FILE} bytes`
        : ownershipFault(stats, owners)
  if (why !== undefined) throw new OperatorError(`"${path}" ${why}; remove it, and start again`)
}

function ownershipFault({ uid, mode }: Stats, owners: readonly number[]): string | undefined {
  if (!owners.includes(uid)) return `belongs to user ${uid}, not to ${owners[0]}`
  if ((mode & 0o077) !== 0) return `is open to other users (mode 0${(mode & 0o777).toString(8)})`
  return undefined
}

function refusal(path: string, error: unknown): OperatorError {
  const { code, message } = error as NodeJS.ErrnoException
  const why = code === 'ELOOP' ? 'is a link' : `cannot be opened: ${message}`
  return new OperatorError(`"${path}" ${why}; remove it, and start again`, { cause: error })
}
