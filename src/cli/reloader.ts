/**
 * Reads the file again and hands it to the running switch. What cannot be read, is not valid or cannot be opened leaves
 * the switch as it runs; either way one line in the log says what happened. Requests are served one after the other.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Config } from '../config/config.js'
import { ConfigError, OperatorError } from '../errors.js'
import type { Logger } from '../log.js'

export interface ReloadResult {
  /** Names of transports. */
  readonly added: string[]
  readonly removed: string[]
  readonly kept: string[]
  readonly changed: string[]
  /** Options whose new value has no effect before the next start. */
  readonly needsRestart: string[]
}

export class Reloader {
  readonly #load: () => Config
  readonly #apply: (config: Config) => Promise<ReloadResult>
  readonly #started: Config
  readonly #log: Logger
  #last: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(parts: {
    load: () => Config
    apply: (config: Config) => Promise<ReloadResult>
    /** What the process was started with. */
    started: Config
    log: Logger
  }) {
    this.#load = parts.load
    this.#apply = parts.apply
    this.#started = parts.started
    this.#log = parts.log
  }

  /** Resolves when this request has been served; never rejects. */
  request(): Promise<void> {
    if (!this.#isClosed) this.#last = this.#last.then(() => this.#reload())
    return this.#last
  }

  /** Takes no further requests; resolves when those taken have been served. */
  close(): Promise<void> {
    this.#isClosed = true
    return this.#last
  }

  async #reload(): Promise<void> {
    try {
      const config = this.#load()
      const result = await this.#apply(config)
      const needsRestart = [...new Set([...result.needsRestart, ...this.#fixedAtStart(config)])]
      this.#log.info({ ...result, needsRestart }, 'configuration reloaded')
    } catch (error) {
      this.#log.error(reason(error), 'configuration not reloaded, the running one stays')
    }
  }

  #fixedAtStart(config: Config): string[] {
    const changed: string[] = []
    if (!isDeepStrictEqual(config.http, this.#started.http)) changed.push('http')
    if (!isDeepStrictEqual(config.process, this.#started.process)) changed.push('process')
    if (config.sandbox !== this.#started.sandbox) changed.push('process.sandbox')
    if (config.log.level !== this.#started.log.level) changed.push('log.level')
    return changed
  }
}

function reason(error: unknown): object {
  if (error instanceof ConfigError) return { code: error.code, problems: error.problems }
  if (error instanceof OperatorError) return { code: error.code, problem: error.message }
  return { error }
}
