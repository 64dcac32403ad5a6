/**
 * Certificate and key for HTTPS and WSS, read from files; the key under the same rule as a token's file: no one else
 * may read it.
 */
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { OperatorError } from './errors.js'

/** Absolute paths of PEM files. */
export interface TlsFiles {
  readonly certificate: string
  readonly key: string
}

/**
 * As `createServer` and `setSecureContext` take them. `path` is the option that names them, for messages. Throws
 * OperatorError when they cannot be read or do not belong together.
 */
export function readTlsFiles(
  { certificate, key }: TlsFiles,
  path: string,
): { cert: Buffer; key: Buffer } & typeof forwardSecrecy {
  const files = {
    ...forwardSecrecy,
    cert: readPem(certificate, `${path}.certificate`),
    key: readPem(key, `${path}.key`),
  }
  const mode = statSync(key).mode & 0o777
  if ((mode & 0o077) !== 0) {
    const message = `"${key}" may be read or written by others (mode 0${mode.toString(8)}); chmod 600 it`
    throw new OperatorError(message, { path: `${path}.key` })
  }
  try {
    createSecureContext(files)
  } catch (error) {
    const message = `"${certificate}" and "${key}" cannot be used together: ${(error as Error).message}`
    throw new OperatorError(message, { path, cause: error })
  }
  return files
}

/**
 * For servers and clients: suites with forward secrecy only, so that traffic which was recorded cannot be read with a
 * key that is stolen later. Of TLS 1.3 these are all suites; of TLS 1.2 those with ephemeral Diffie-Hellman and
 * authenticated encryption.
 */
export const forwardSecrecy = {
  minVersion: 'TLSv1.2',
  ciphers: [
    ...['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'],
    ...['ECDHE+AESGCM', 'ECDHE+CHACHA20', 'DHE+AESGCM', 'DHE+CHACHA20'],
  ].join(':'),
} as const

export function readPem(file: string, path: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new OperatorError(`"${file}" cannot be read (${code})`, { path, cause: error })
  }
}
