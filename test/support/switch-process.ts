/**
 * The shipped program as a test runs it: `tapswitch run` in a process of its own, on a configuration made for the test.
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { noteRuntimeDir } from './control-tokens.js'
import { projectRoot } from './project-root.js'
import { spawnBound } from './spawn.js'
import { SwitchApi } from './switch-api.js'

const program = join(projectRoot, 'dist/cli/main.js')
const readyTimeoutMs = 20_000
const stopTimeoutMs = 10_000

export type LogLine = Record<string, unknown> & { msg: string }

export interface ExitStatus {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface SwitchProcessOptions {
  /** Added to the environment of this process. */
  env?: Record<string, string>
  /** A program, with its arguments, that becomes the switch; e.g. setpriv. */
  through?: readonly string[]
}

/** How a switch ended that did not start. */
export interface Refusal extends ExitStatus {
  /** The lines on stderr but for those of level info. */
  errors: LogLine[]
  /** All of stdout. */
  output: string
}

export class SwitchProcess {
  readonly pid: number
  /** The file the switch was started with; write it anew and `kill('SIGHUP')` to reload. */
  readonly file: string
  /** What it has logged, oldest first. A line that is not JSON is here as its `msg`. */
  readonly log: LogLine[] = []
  /** What it has printed on stdout. */
  output = ''
  readonly exited: Promise<ExitStatus>
  readonly #child: ChildProcess
  readonly #waiting = new Set<() => void>()

  /**
   * Starts the switch on `config`, an object in the form of the configuration file, written to `folder`/switch.yaml.
   * Resolves when it is ready; rejects with its log when it ends or stays silent instead.
   */
  static async start(folder: string, config: object, options: SwitchProcessOptions = {}): Promise<SwitchProcess> {
    const started = new SwitchProcess(await writeConfig(folder, config), options)
    try {
      const { http } = await started.logged(({ msg }) => msg === 'ready', readyTimeoutMs)
      if (typeof http === 'string') noteRuntimeDir(http, 'runtimeDir' in config ? String(config.runtimeDir) : folder)
      return started
    } catch (error) {
      await started.kill9()
      throw error
    }
  }

  /** Starts a switch that is expected to refuse, and resolves when it has ended. */
  static async refused(folder: string, config: object, options: SwitchProcessOptions = {}): Promise<Refusal> {
    const started = new SwitchProcess(await writeConfig(folder, config), options)
    const timer = setTimeout(() => started.kill('SIGKILL'), readyTimeoutMs)
    const status = await started.exited
    clearTimeout(timer)
    return { ...status, errors: started.log.filter(({ level }) => level !== 'info'), output: started.output }
  }

  private constructor(file: string, { env = {}, through = [] }: SwitchProcessOptions) {
    this.file = file
    const [command, ...args] = [...through, process.execPath, program, 'run', '-c', file]
    this.#child = spawnBound(command as string, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    const { stdout, stderr } = this.#child as unknown as { stdout: Readable; stderr: Readable }
    stdout.on('data', bytes => {
      this.output += bytes
    })
    createInterface({ input: stderr }).on('line', line => this.#take(line))
    this.exited = once(this.#child, 'close').then(([code, signal]) => ({ code, signal }))
    this.exited.catch(() => {}).then(() => this.#wake())
    this.pid = this.#child.pid ?? 0
  }

  /** The address of its HTTP API, as the line that says "ready" has it. */
  get url(): string {
    const url = this.log.findLast(({ msg }) => msg === 'ready')?.http
    if (typeof url !== 'string') throw new Error('this switch has no HTTP server')
    return url
  }

  get api(): SwitchApi {
    return new SwitchApi(this.url)
  }

  /** Writes the configuration anew and has it read; resolves with the line that says what came of it. */
  async reload(config: object): Promise<LogLine> {
    const before = this.log.length
    await writeConfig(dirname(this.file), config)
    this.kill('SIGHUP')
    return this.logged((line, i) => i >= before && /^configuration (not )?reloaded/.test(line.msg))
  }

  /**
   * The first line that `accepts` likes, logged already or still to come. Rejects after `timeoutMs`, or when the switch
   * ends.
   */
  async logged(accepts: (line: LogLine, index: number) => boolean, timeoutMs = 10_000): Promise<LogLine> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const line = this.log.find(accepts)
      if (line) return line
      const left = deadline - performance.now()
      if (left <= 0) throw this.#failure(`not logged within ${timeoutMs} ms`)
      if (!this.#running) throw this.#failure('the switch ended')
      await this.#next(left)
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** SIGTERM, and SIGKILL when that takes too long. May be called again. */
  async stop(): Promise<ExitStatus> {
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopTimeoutMs)
    const status = await this.exited
    clearTimeout(timer)
    return status
  }

  /** As a crash: socket files stay where they are. */
  async kill9(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.exited.catch(() => {})
  }

  get #running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Resolves at the next line, at the end of the process, or after `timeoutMs`. */
  #next(timeoutMs: number): Promise<void> {
    return new Promise(resolve => {
      const wake = () => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, timeoutMs)
      this.#waiting.add(wake)
    })
  }

  #take(text: string): void {
    this.log.push(text.startsWith('{') ? JSON.parse(text) : { msg: text })
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  #failure(what: string): Error {
    return new Error(`${what}:\n${this.log.map(line => JSON.stringify(line)).join('\n')}`)
  }
}

async function writeConfig(folder: string, config: object): Promise<string> {
  const file = join(folder, 'switch.yaml')
  await writeFile(file, JSON.stringify({ runtimeDir: folder, ...config }, null, 2))
  return file
}
