/** Certificate and key for HTTPS, read from files; the key under the same rule as a token's file: no one else may read it. */
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { HttpConfig } from '../config/config.js'
import { OperatorError } from '../errors.js'

/** Throws OperatorError when they cannot be read or do not belong together. */
export function readTlsFiles({ certificate, key }: NonNullable<HttpConfig['tls']>): { cert: Buffer; key: Buffer } {
  const files = { cert: read(certificate, 'http.tls.certificate'), key: read(key, 'http.tls.key') }
  const mode = statSync(key).mode & 0o777
  if ((mode & 0o077) !== 0) {
    const message = `"${key}" may be read or written by others (mode 0${mode.toString(8)}); chmod 600 it`
    throw new OperatorError(message, { path: 'http.tls.key' })
  }
  try {
    createSecureContext(files)
  } catch (error) {
    const message = `"${certificate}" and "${key}" cannot be used together: ${(error as Error).message}`
    throw new OperatorError(message, { path: 'http.tls', cause: error })
  }
  return files
}

function read(file: string, path: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new OperatorError(`"${file}" cannot be read (${code})`, { path, cause: error })
  }
}
