/**
 * Which switch to talk to. `--url` or TAPSWITCH_URL names one; else it is the one that `--config` describes, which is
 * the one that `tapswitch run` with the same file runs. A token comes from a file or the environment, never from an
 * argument, which everybody may read; of a configuration's own tokens the first one that may change things and can be
 * read is used.
 */
import { readFileSync } from 'node:fs'
import type { Config, HttpConfig } from '../../config/config.js'
import { isLocal } from '../../config/http.js'
import { parseHttpListen } from '../../config/http-listen.js'
import { loadConfig } from '../../config/load.js'
import { withoutSecrets } from '../../config/url-secrets.js'
import { OperatorError, UsageError } from '../../errors.js'
import { findControlToken } from '../../http/control-token.js'
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
  const given = givenToken(options, env)
  const url = options.url ?? env.TAPSWITCH_URL
  if (url !== undefined) {
    const checked = checkedUrl(url)
    return { url: checked, token: given ?? tokenOfUrl(checked, options.config), ca }
  }
  const config = loadConfig(options.config)
  const { file, http } = config
  if (http === false) throw new OperatorError(`${file} turns HTTP off, so a switch that runs with it cannot be asked`)
  return { url: urlOf(http), token: given ?? localToken(http, config) ?? ownToken(http), ca }
}

/** That of this machine's switch, where the URL is the address that its configuration has. */
function tokenOfUrl(url: string, file: string): string | undefined {
  try {
    const config = loadConfig(file)
    return config.http !== false && urlOf(config.http) === url ? localToken(config.http, config) : undefined
  } catch (error) {
    // The file is another switch's, and need not be good.
    if (error instanceof OperatorError) return undefined
    throw error
  }
}

/** The one that the switch made for its own user. It goes to no address but the one that this switch listens on. */
function localToken({ listen }: HttpConfig, { runtimeDir, process: successor }: Config): string | undefined {
  if (!isLocal(listen)) return undefined
  return findControlToken(runtimeDir, [process.getuid?.() ?? 0, successor?.uid ?? 0])
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
  if (parsed === null || !['http:', 'https:'].includes(parsed.protocol)) {
    const said = withoutSecrets(url.includes('://') ? url : url.replace(/^.*@/, '…@'))
    throw new UsageError(`"${said}" is not http://HOST:PORT, https://HOST:PORT or unix:/PATH`)
  }
  if (parsed.username !== '' || parsed.password !== '' || parsed.search !== '' || parsed.hash !== '') {
    const said = withoutSecrets(url)
    throw new UsageError(`"${said}" has more in it than an address and a path; a token comes from --token-file`)
  }
  return url.replace(/\/+$/, '')
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
