/**
 * Which switch to talk to. `--url` or TAPSWITCH_URL names one; else it is the one that `--config` describes, which is the one that `tapswitch
 * run` with the same file runs. A token comes from a file or the environment, never from an argument, which everybody may read; of a
 * configuration's own tokens the first one that may change things and can be read is used.
 */
import { readFileSync } from 'node:fs'
import type { HttpConfig } from '../../config/config.js'
import { parseHttpListen } from '../../config/http-listen.js'
import { loadConfig } from '../../config/load.js'
import { OperatorError, UsageError } from '../../errors.js'
import { readSecret } from '../../secret.js'
import type { ApiTarget } from './api-client.js'

export interface TargetOptions {
  readonly config: string
  readonly url?: string
  readonly tokenFile?: string
  readonly ca?: string
}

/** @throws OperatorError */
export function resolveTarget(options: TargetOptions, env: NodeJS.ProcessEnv): ApiTarget {
  const ca = options.ca === undefined ? undefined : textOf(options.ca, 'the certificate')
  const url = options.url ?? env.TAPSWITCH_URL
  if (url !== undefined) return { url: checkedUrl(url), token: givenToken(options, env), ca }
  const http = httpOf(options.config)
  return { url: urlOf(http), token: givenToken(options, env) ?? ownToken(http), ca }
}

function httpOf(file: string): HttpConfig {
  const { http } = loadConfig(file)
  if (http === false) throw new OperatorError(`${file} turns HTTP off, so a switch that runs with it cannot be asked`)
  return http
}

function urlOf({ listen, tls }: HttpConfig): string {
  const address = parseHttpListen(listen)
  if (address?.type === 'unix') return `unix:${address.path}`
  if (address?.port === 0) {
    throw new UsageError(`http.listen is "${listen}": the system chose the port, say which it is with --url`)
  }
  return `${tls === null ? 'http' : 'https'}://${listen}`
}

function checkedUrl(url: string): string {
  if (url.startsWith('unix:/')) return url
  const parsed = tryUrl(url)
  if (parsed !== null && ['http:', 'https:'].includes(parsed.protocol)) return url.replace(/\/+$/, '')
  throw new UsageError(`"${url}" is not http://HOST:PORT, https://HOST:PORT or unix:/PATH`)
}

function tryUrl(url: string): URL | null {
  try {
    return new URL(url)
  } catch {
    return null
  }
}

function givenToken({ tokenFile }: TargetOptions, env: NodeJS.ProcessEnv): string | undefined {
  const file = tokenFile ?? env.TAPSWITCH_TOKEN_FILE
  if (file !== undefined) return textOf(file, 'the token').trim()
  return env.TAPSWITCH_TOKEN
}

function ownToken({ tokens }: HttpConfig): string | undefined {
  const strongestFirst = tokens.toSorted((a, b) => Number(b.role === 'control') - Number(a.role === 'control'))
  for (const { name, token } of strongestFirst) {
    try {
      return readSecret(token, `http.tokens "${name}"`)
    } catch {
      // Not for this user, or not in this environment; another one may be.
    }
  }
  return undefined
}

function textOf(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new OperatorError(`${what} cannot be read from ${file}: ${(error as NodeJS.ErrnoException).code}`)
  }
}
