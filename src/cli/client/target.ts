/**
 * Which switch to talk to. `--url` or TAPSWITCH_URL names one; else it is the one that `--config` describes, which is the one that `tapswitch
 * run` with the same file runs. A token comes from a file or the environment, never from an argument, which everybody may read.
 */
import { readFileSync } from 'node:fs'
import type { HttpConfig } from '../../config/config.js'
import { parseHttpListen } from '../../config/http-listen.js'
import { loadConfig } from '../../config/load.js'
import { OperatorError, UsageError } from '../../errors.js'
import type { ApiTarget } from './api-client.js'

export interface TargetOptions {
  readonly config: string
  readonly url?: string
  readonly tokenFile?: string
  readonly ca?: string
}

/** @throws OperatorError */
export function resolveTarget(options: TargetOptions, env: NodeJS.ProcessEnv): ApiTarget {
  const given = options.url ?? env.TAPSWITCH_URL
  const http = given === undefined ? httpOf(options.config) : undefined
  return {
    url: given === undefined ? urlOf(http as HttpConfig) : checkedUrl(given),
    token: tokenOf(options, env),
    ca: options.ca === undefined ? undefined : textOf(options.ca, 'the certificate'),
  }
}

function httpOf(file: string): HttpConfig {
  const { http } = loadConfig(file)
  if (http === false) throw new OperatorError(`${file} turns HTTP off, so a switch that runs with it cannot be asked`)
  return http
}

function urlOf({ listen }: HttpConfig): string {
  const address = parseHttpListen(listen)
  if (address?.type === 'unix') return `unix:${address.path}`
  if (address?.port === 0) {
    throw new UsageError(`http.listen is "${listen}": the system chose the port, say which it is with --url`)
  }
  return `http://${listen}`
}

function checkedUrl(url: string): string {
  if (url.startsWith('unix:/')) return url
  const parsed = URL.parse?.(url) ?? tryUrl(url)
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

function tokenOf({ tokenFile }: TargetOptions, env: NodeJS.ProcessEnv): string | undefined {
  const file = tokenFile ?? env.TAPSWITCH_TOKEN_FILE
  if (file !== undefined) return textOf(file, 'the token').trim()
  return env.TAPSWITCH_TOKEN
}

function textOf(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new OperatorError(`${what} cannot be read from ${file}: ${(error as NodeJS.ErrnoException).code}`)
  }
}
