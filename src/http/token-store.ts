/**
 * The tokens in force. They are read at the start, where a fault stops it, and again when a file changes or on SIGHUP,
 * where a fault leaves the old ones in force and is logged. Only digests are kept.
 */
import { unwatchFile, watchFile } from 'node:fs'
import type { Role, TokenConfig } from '../config/config.js'
import type { Logger } from '../log.js'
import { readSecret, SecretDigest } from '../secret.js'

/** Who asks, as far as tokens tell. */
export interface Identity {
  /**
   * The token's name in the configuration; `anonymous` without one, `local` for the switch's own, `page` for a session
   * of the page.
   */
  readonly name: string
  readonly role: Role
}

interface Token extends Identity {
  readonly expires: number | null
  readonly digest: SecretDigest
}

/**
 * Milliseconds between two looks at a file; the name may come to stand for another file, so its path is looked up each
 * time.
 */
const WATCH_MS = 1000

export class TokenStore {
  readonly #log: Logger
  #configs: readonly TokenConfig[] = []
  #tokens: readonly Token[] = []
  #watched: readonly string[] = []
  readonly #onChange = () => this.reload()

  /** Throws OperatorError when a token cannot be read. */
  constructor(configs: readonly TokenConfig[], log: Logger) {
    this.#log = log
    this.replace(configs)
  }

  get isEmpty(): boolean {
    return this.#tokens.length === 0
  }

  /** Throws OperatorError, and keeps those it has, when a token cannot be read. */
  replace(configs: readonly TokenConfig[]): void {
    this.#tokens = configs.map(read)
    this.#configs = configs
    this.#watch(configs.flatMap(({ token }) => ('file' in token ? [token.file] : [])))
  }

  reload(): void {
    if (this.isEmpty) return
    try {
      this.#tokens = this.#configs.map(read)
      this.#log.info({ tokens: this.#configs.map(({ name }) => name) }, 'tokens read again')
    } catch (error) {
      this.#log.error({ err: (error as Error).message }, 'tokens not read again, those from before stay')
    }
  }

  /** All are compared, so that the time does not tell which was right. */
  identify(presented: string): Identity | 'expired' | undefined {
    let found: Token | undefined
    for (const token of this.#tokens) if (token.digest.matches(presented)) found ??= token
    if (found === undefined) return undefined
    return found.expires !== null && found.expires <= Date.now() ? 'expired' : { name: found.name, role: found.role }
  }

  close(): void {
    this.#watch([])
  }

  #watch(files: readonly string[]): void {
    for (const file of this.#watched) unwatchFile(file, this.#onChange)
    this.#watched = [...new Set(files)]
    for (const file of this.#watched) watchFile(file, { interval: WATCH_MS, persistent: false }, this.#onChange)
  }
}

function read({ name, role, token, expires }: TokenConfig): Token {
  return { name, role, expires, digest: new SecretDigest(readSecret(token, `http token "${name}"`)) }
}
