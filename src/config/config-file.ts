/**
 * The file the configuration came from, read again on a reload and written on request. It is only written while it
 * still has the content it was last read with, so that what another program wrote meanwhile is not lost.
 *
 * The new file takes the place of the old one in one step, with its mode and owner, and only after it is on the disk
 * whole: written in a loop (a disk that is nearly full takes a part), synced, read back and compared. The one before
 * stays beside it with `~` behind its name.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { OperatorError } from '../errors.js'
import type { Config } from './config.js'
import { loadConfigText, readConfigFile } from './load.js'

export class ConfigFile {
  /** Absolute. */
  readonly path: string
  /** Comes with the package, and is not written. */
  readonly isOwn: boolean
  #digest = ''

  constructor(path: string, { isOwn = false } = {}) {
    this.path = path
    this.isOwn = isOwn
  }

  /** Throws ConfigError. */
  load(): Config {
    const text = readConfigFile(this.path)
    const config = loadConfigText(text, this.path)
    this.#digest = digestOf(text)
    return config
  }

  /** The text as it was last loaded; undefined when the file is another by now. */
  unchangedText(): string | undefined {
    const text = readConfigFile(this.path)
    return digestOf(text) === this.#digest ? text : undefined
  }

  /** What a text would mean in the place of the file. Throws ConfigError. */
  parse(text: string): Config {
    return loadConfigText(text, this.path)
  }

  /** Throws OperatorError; the file is as it was before. */
  replace(text: string): void {
    try {
      // A link stays a link.
      const path = realpathSync(this.path)
      const { mode, uid, gid } = statSync(path)
      const fresh = join(dirname(path), `.${basename(path)}.${process.pid}`)
      try {
        const fd = openSync(fresh, 'wx', 0o600)
        try {
          writeWhole(fd, Buffer.from(text))
          if (uid !== process.getuid?.() || gid !== process.getgid?.()) fchownSync(fd, uid, gid)
          fchmodSync(fd, mode & 0o777)
          fsyncSync(fd)
        } finally {
          closeSync(fd)
        }
        if (readFileSync(fresh, 'utf8') !== text) throw new Error('the disk gave back something else than was written')
        keep(path)
        renameSync(fresh, path)
        syncFolder(dirname(path))
      } catch (error) {
        rmSync(fresh, { force: true })
        throw error
      }
      this.#digest = digestOf(text)
    } catch (error) {
      throw new OperatorError(`"${this.path}" cannot be written: ${(error as Error).message}`, { cause: error })
    }
  }
}

/** write(2) may take a part. */
function writeWhole(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
}

/** The file before, under another name. Where links are not to be had (FAT), there is none. */
function keep(path: string): void {
  const kept = `${path}~`
  try {
    rmSync(kept, { force: true })
    linkSync(path, kept)
  } catch {}
}

/** So that the new name is on the disk, too. Not every file system can. */
function syncFolder(folder: string): void {
  try {
    const fd = openSync(folder, 'r')
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  } catch {}
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
