/**
 * The file the configuration came from, read again on a reload and written on request. It is only written while it still has the
 * content it was last read with: what somebody else wrote meanwhile is not lost. The new file takes the place of the old one
 * in one step, with its mode and owner, and is read back before that.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
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
  #digest = ''

  constructor(path: string) {
    this.path = path
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

  /** Throws OperatorError; the file is as it was then. */
  replace(text: string): void {
    try {
      // A link stays a link.
      const path = realpathSync(this.path)
      const { mode, uid, gid } = statSync(path)
      const fresh = join(dirname(path), `.${basename(path)}.${process.pid}`)
      try {
        const fd = openSync(fresh, 'wx', 0o600)
        try {
          writeSync(fd, text)
          if (uid !== process.getuid?.() || gid !== process.getgid?.()) fchownSync(fd, uid, gid)
          fchmodSync(fd, mode & 0o777)
          fsyncSync(fd)
        } finally {
          closeSync(fd)
        }
        renameSync(fresh, path)
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

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
