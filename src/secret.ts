/**
 * Secrets that a configuration names and does not hold: in a file, or in an environment variable. Neither appears in
 * the arguments of the process, and the log has only the name of the place.
 *
 * A file that others may read is no secret any more, so it is refused rather than used. What is compared is the SHA-256
 * of both sides: equal in length whatever was sent, and compared in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import type { SecretSource } from './config/secret.js'
import { OperatorError } from './errors.js'

const maxFileBytes = 4096
/** What `Authorization: Bearer` can carry. 16: below that, guessing is no longer hopeless. */
const allowed = /^[\x21-\x7e]{16,512}$/

/** Reads a secret. `path` is the option that names it, for the message. Throws OperatorError. */
export function readSecret(source: SecretSource, path: string): string {
  const place = 'file' in source ? `file "${source.file}"` : `environment variable ${source.env}`
  const refuse = (why: string, cause?: unknown) => new OperatorError(`${place} ${why}`, { path, cause })
  const text = 'file' in source ? readPrivateFile(source.file, refuse) : process.env[source.env]
  if (text === undefined) throw refuse('is not set')
  const secret = text.trim()
  if (secret === '') throw refuse('is empty')
  if (!allowed.test(secret)) {
    throw refuse('must hold 16 to 512 printable ASCII characters without spaces (make one: openssl rand -hex 32)')
  }
  return secret
}

function readPrivateFile(file: string, refuse: (why: string, cause?: unknown) => OperatorError): string {
  let fd: number
  try {
    // Non-blocking: opening a FIFO would wait for its writer.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw refuse(code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`, error)
  }
  try {
    const { mode, size, uid } = fstatSync(fd)
    const permissions = mode & 0o777
    if ((mode & 0o170000) !== 0o100000) throw refuse('is not a regular file')
    if ((permissions & 0o077) !== 0) {
      throw refuse(`may be read or written by others (mode 0${permissions.toString(8)}); chmod 600 it`)
    }
    const own = process.getuid?.()
    if (uid !== own && uid !== 0) throw refuse(`belongs to user ${uid}, must be ours (user ${own}) or root's`)
    if (size > maxFileBytes) throw refuse(`is ${size} bytes, at most ${maxFileBytes} allowed`)
    return readFileSync(fd, 'utf8')
  } finally {
    closeSync(fd)
  }
}

/** A secret that can be compared, and not read. */
export class SecretDigest {
  readonly #digest: Buffer

  constructor(secret: string) {
    this.#digest = digestOf(secret)
  }

  /** Takes the same time whatever is presented. */
  matches(presented: string): boolean {
    return timingSafeEqual(this.#digest, digestOf(presented))
  }
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
