/**
 * A second line on Linux, with Landlock: the process gives up all files but those that its work takes, before it opens
 * the first socket. Then code that gets into it, by a fault of ours, reads no other file, writes in few folders, and
 * starts no program that could.
 *
 * The restriction holds for the main thread, for the threads of libuv's pool (os/sandbox/thread-pool.ts), and for every
 * thread and program that is started later: forwarding, slirp, dnsmasq, filter compilers. V8's own threads, a handful
 * that compile and collect garbage, exist before and are not restricted: JavaScript cannot give them work on files,
 * machine code in this process could.
 *
 * sandbox-rules.ts says what the process may use. Folders are those that are there at the start. What a reload or the
 * API names outside of them is refused before anything is opened.
 */
import { closeSync, mkdirSync, realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Config } from '../config/config.js'
import type { UsedFile } from '../config/used-files.js'
import type { FileSandbox } from '../control/file-sandbox.js'
import type { Logger } from '../log.js'
import { type FileAccess, type FileRule, landlockVersion, makeRuleset, restrictTo } from '../os/sandbox/landlock.js'
import { restrictPool } from '../os/sandbox/thread-pool.js'
import { ROOT_FOLDER } from '../tap/records.js'
import { placesOf, sandboxRules } from './sandbox-rules.js'

export class Sandbox implements FileSandbox {
  readonly #config: Config
  readonly #log: Logger
  /** By device and inode: what may be done in a folder. Null: all that the user may. */
  #reach: ReadonlyMap<string, readonly FileAccess[]> | null = null

  constructor(config: Config, log: Logger) {
    this.#config = config
    this.#log = log
  }

  async enter(): Promise<void> {
    if (this.#config.sandbox === 'off') return this.#say('off, by process.sandbox')
    const version = landlockVersion()
    if (version === 0) return this.#say('off, because this system has no Landlock')
    if (process.getuid?.() === 0) makeRootFolder()
    const rules = sandboxRules(this.#config, process.env)
    if (rules.some(({ path }) => path === '/')) {
      return this.#say('off, because the configuration or a file that it names is in "/", which would be all files')
    }
    const ruleset = makeRuleset({ rules }) as number
    try {
      restrictTo(ruleset)
      this.#reach = reachOf(rules)
      const pool = (await restrictPool(ruleset)) ? 'thread pool' : 'not the thread pool'
      this.#say(`landlock ${version}: main thread, ${pool}, threads and programs started from now on`)
    } finally {
      closeSync(ruleset)
    }
  }

  fault(files: readonly UsedFile[]): string | undefined {
    const reach = this.#reach
    if (reach === null) return undefined
    const outside = files.find(file => !placesOf(file).every(place => isWithin(place, reach)))
    if (outside === undefined) return undefined
    return `"${outside.path}" is outside the sandbox, which is made of the configuration at the start; restart the switch, or set process.sandbox: off`
  }

  #say(sandbox: string): void {
    this.#log.info({ sandbox }, 'files that this process can use')
  }
}

/** For the records of TAP interfaces: rules are for folders that exist, and an interface may be added later. */
function makeRootFolder(): void {
  try {
    mkdirSync(ROOT_FOLDER, { mode: 0o700 })
  } catch {
    // It is there, or cannot be made, which an interface that needs it says.
  }
}

function reachOf(rules: readonly FileRule[]): Map<string, readonly FileAccess[]> {
  const reach = new Map<string, readonly FileAccess[]>()
  for (const { path, allow } of rules) {
    const identity = identityOf(path)
    if (identity !== undefined) reach.set(identity, [...(reach.get(identity) ?? []), ...allow])
  }
  return reach
}

/** True also where the folder is not there, which who opens the file says better. */
function isWithin({ path, allow }: FileRule, reach: ReadonlyMap<string, readonly FileAccess[]>): boolean {
  const missing = new Set<FileAccess>(allow)
  let folder: string
  try {
    folder = realpathSync(path)
  } catch {
    return true
  }
  for (let each = folder; ; each = dirname(each)) {
    for (const access of reach.get(identityOf(each) ?? '') ?? []) missing.delete(access)
    if (missing.size === 0) return true
    if (each === dirname(each)) return false
  }
}

function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path)
    return `${dev}:${ino}`
  } catch {
    // It does not exist, or this user may not see it.
    return undefined
  }
}
