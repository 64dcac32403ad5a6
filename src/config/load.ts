/**
 * From a file to a `Config`, or to a `ConfigError` with everything that is wrong in it. Three steps, each of which must
 * succeed before the next: the text (YAML; JSON is a part of it), the single options, and how they fit each other and
 * this machine. Nothing outside is changed: a configuration that is refused leaves nothing behind.
 */
import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { ConfigError } from '../errors.js'
import { accountNumber, primaryGroup } from './accounts.js'
import type { Config } from './config.js'
import { issueMessage, problemsOf } from './messages.js'
import { resolveConfig, runtimeDirOf } from './resolve.js'
import { type ConfigInput, configSchema } from './schema.js'
import type { Surroundings } from './scope.js'

export type * from './config.js'

/** Bytes. Far above any real configuration, far below what would keep the parser busy. */
const maxFileSize = 1024 * 1024
/** How often a file may use an anchor, counted through aliases of aliases. */
const maxAliasCount = 100

/**
 * Reads, checks and completes a configuration file.
 * @throws ConfigError
 */
export function loadConfig(file: string, env: NodeJS.ProcessEnv = process.env): Config {
  const absolute = resolve(file)
  return loadConfigText(readConfigFile(absolute), absolute, env)
}

/**
 * The same for a text that is, or may become, the content of a file; `file` is absolute.
 * @throws ConfigError
 */
export function loadConfigText(text: string, file: string, env: NodeJS.ProcessEnv = process.env): Config {
  return deepFreeze(resolveConfig(parseConfig(text, file), surroundings(file, env)))
}

/** This machine, and this process. */
export function surroundings(file: string, env: NodeJS.ProcessEnv = process.env): Surroundings {
  return { file, platform: process.platform, env, uid: startedAs, accountNumber, primaryGroup }
}

/** Where sockets are when no configuration says so. */
export function defaultRuntimeDir(env: NodeJS.ProcessEnv = process.env): string {
  return runtimeDirOf(env, startedAs)
}

/**
 * Checks the text of a configuration option by option, without looking at this machine.
 * @throws ConfigError
 */
export function parseConfig(text: string, file: string): ConfigInput {
  // An empty file is a configuration that leaves everything at its default.
  const value = withoutOwnKeys(parseYaml(text, file) ?? {})
  const result = configSchema.safeParse(value, { error: issueMessage, reportInput: true })
  if (!result.success) {
    throw new ConfigError(problemsOf(result.error.issues).map(({ path, message }) => ({ path: path || file, message })))
  }
  return result.data
}

/** Keys that begin with `x-` are the operator's: a place for anchors, as in Compose files. */
function withoutOwnKeys(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith('x-')))
}

/** Not who it is now: what a file means must not change when root's rights are given up. */
const startedAs = process.getuid?.() ?? 0

/** @throws ConfigError */
export function readConfigFile(file: string): string {
  try {
    const stat = statSync(file)
    if (stat.isDirectory()) throw fileError(file, 'is a directory')
    if (stat.size > maxFileSize) throw fileError(file, `is ${stat.size} bytes, at most ${maxFileSize} allowed`)
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw fileError(file, readFailures[(error as NodeJS.ErrnoException).code ?? ''] ?? (error as Error).message)
  }
}

const readFailures: Record<string, string> = {
  ENOENT: 'no such file',
  EACCES: 'may not be read by this user',
}

function parseYaml(text: string, file: string): unknown {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false, stringKeys: true, merge: true })
  const complaints = [...document.errors, ...document.warnings]
  if (complaints.length > 0) {
    throw new ConfigError(
      complaints.map(({ code, message, pos }) => {
        const { line, col } = lineCounter.linePos(pos[0])
        return { path: `${file}:${line}:${col}`, message: syntaxFailures[code] ?? oneLine(message) }
      }),
    )
  }
  try {
    return document.toJS({ maxAliasCount })
  } catch (error) {
    throw fileError(file, oneLine((error as Error).message))
  }
}

/** Where the parser's own words are for programmers. */
const syntaxFailures: Record<string, string> = {
  DUPLICATE_KEY: 'this key is there already',
  MULTIPLE_DOCS: 'a second document begins here, a configuration is one',
  NON_STRING_KEY: 'a key must be a word',
}

function fileError(file: string, message: string): ConfigError {
  return new ConfigError([{ path: file, message }])
}

function oneLine(message: string): string {
  return message.replace(/\s+/g, ' ').trim()
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}
