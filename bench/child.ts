/** Child processes of a benchmark: started, waited for until they say they are ready, and ended by pid. */
import { type ChildProcess, spawn } from 'node:child_process'

export interface ChildOptions {
  /** What the child prints, on either stream, when it can be used. Without it the child is ready once it runs. */
  ready?: RegExp
  /** Milliseconds it may take to become ready. */
  timeoutMs?: number
  cpu?: number | undefined
}

const running = new Set<Child>()
let stopping = false

export class Child {
  stdout = ''
  stderr = ''
  readonly command: string
  readonly #process: ChildProcess
  readonly #exited: Promise<number | null>

  private constructor(command: string, args: string[], cpu: number | undefined) {
    const [file, argv] = cpu === undefined ? [command, args] : ['taskset', ['-c', String(cpu), command, ...args]]
    this.command = [file, ...argv].join(' ')
    this.#process = spawn(file, argv, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#process.stdin?.on('error', () => {})
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout = (this.stdout + text).slice(-1_000_000)
    })
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-1_000_000)
    })
    this.#exited = new Promise(resolve => {
      this.#process.once('error', error => {
        this.stderr += error.message
        resolve(null)
      })
      this.#process.once('close', resolve)
    })
    running.add(this)
    this.#exited.then(() => running.delete(this))
  }

  static async start(command: string, args: string[], options: ChildOptions = {}): Promise<Child> {
    if (stopping) throw new Error('stopped by a signal')
    const child = new Child(command, args, options.cpu)
    try {
      if (options.ready) await child.#waitFor(options.ready, options.timeoutMs ?? 20_000)
    } catch (error) {
      await child.stop()
      throw error
    }
    return child
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw new Error(`${this.command}: ${this.stderr}`)
    return this.#process.pid
  }

  #waitFor(pattern: RegExp, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${this.command}: ${why}: ${this.stderr.slice(-2000)}`))
      const timer = setTimeout(() => fail(`not ready after ${timeoutMs} ms`), timeoutMs)
      const look = () => {
        if (!pattern.test(this.stdout) && !pattern.test(this.stderr)) return
        clearTimeout(timer)
        resolve()
      }
      this.#process.stdout?.on('data', look)
      this.#process.stderr?.on('data', look)
      this.#exited.then(() => {
        clearTimeout(timer)
        fail('ended early')
      })
    })
  }

  /** Waits for the child to end by itself and returns its standard output. Rejects unless it exits with 0. */
  async finished(timeoutMs: number): Promise<string> {
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), timeoutMs)
    const code = await this.#exited
    clearTimeout(timer)
    if (code !== 0) throw new Error(`${this.command}: exit ${code}: ${this.stderr.trim().slice(-2000)}`)
    return this.stdout
  }

  /** SIGTERM, and SIGKILL five seconds later. Returns what it printed. */
  async stop(): Promise<string> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGTERM')
      const timer = setTimeout(() => this.#process.kill('SIGKILL'), 5000)
      await this.#exited
      clearTimeout(timer)
    }
    return this.stdout
  }
}

/** Ends whatever still runs. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map(child => child.stop()))
}

/** On SIGINT and SIGTERM the children end first. */
export function stopAllOnSignal(): void {
  const stop = (status: number) => {
    stopping = true
    stopAll().then(() => process.exit(status))
  }
  process.once('SIGINT', () => stop(130))
  process.once('SIGTERM', () => stop(143))
}
