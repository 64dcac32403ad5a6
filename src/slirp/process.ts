/**
 * The slirp process as the switch sees it: started, told things, watched, stopped, and started again when it dies.
 *
 * Its faults are contained: the process has its own address space, descriptors and user (confine.ts). When it dies by
 * whatever cause, the kernel closes its end of the link, so the data plane takes the port down at once; a new process
 * gets a new link, the leases that the old one gave, and its forwards. Connections of guests to the outside do not
 * survive. A process that keeps dying is started again ever more slowly, but never given up.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chownSync, mkdirSync, rmSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { getSystemErrorName } from 'node:util'
import type { SlirpConfig } from '../config/interfaces/slirp.js'
import { sendDescriptor } from '../os/descriptor-passing.js'
import type { Layout } from '../os/layout.js'
import { streamPair } from '../os/stream-socket.js'
import { closeSocket } from '../os/unix-socket.js'
import { UNCONFINED } from './confine.js'
import { LastWords, Requests } from './dialogue.js'
import { Leases } from './leases.js'
import type { SlirpResult, Started } from './messages.js'
import { COMMANDS, encodeMessage, type Needs, ReplyReader, type SlirpCommand } from './messages.js'
import { countsOf, type SlirpCounts } from './shared-state.js'
import { Watch } from './watch.js'

/** Waits between restarts, in milliseconds, when they follow each other; the last one from then on. */
const RESTART_DELAYS_MS = [0, 100, 500, 1000, 5000]
/** A process that ran this long was not part of a series. */
const STABLE_MS = 10_000
/** It takes some 300 ms; many times that on a machine that starts up. */
const START_TIMEOUT_MS = 20_000
const STOP_TIMEOUT_MS = 2_000
/**
 * V8's own part of the memory, in MiB: what is allocated at start is a tenth of it. No threads for compiling and
 * collecting, which a loop that allocates nothing does not need.
 */
const NODE_OPTIONS = ['--max-old-space-size=64', '--v8-pool-size=0', '--no-warnings']
/** The rest of the environment has tokens and other people's settings in it. */
const KEPT_VARIABLES = ['TAPSWITCH_LIBSLIRP', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'DYLD_FALLBACK_LIBRARY_PATH']

export interface SlirpProcessParts {
  readonly config: SlirpConfig
  readonly layout: Layout
  /** The process's own; made, and removed at the end. Sockets of forwards are bound in it. */
  readonly folder: string
  /** The user it becomes; null: that of the switch. */
  readonly account: { readonly uid: number; readonly gid: number } | null
  readonly needs: () => Needs
  /** A new socket pair to the data plane; returns the end for the process, to be closed by the caller. */
  readonly freshLink: () => number
  /** It ended unasked, or did not start: one clause. */
  readonly died: (why: string) => void
  /** It runs again, without forwards. */
  readonly restarted: (restarts: number) => Promise<void>
}

interface Running {
  readonly child: ChildProcess
  readonly links: number
  readonly needs: Needs
  readonly requests: Requests
}

export class SlirpProcess {
  restarts = 0
  /** As the process said within the last second. */
  counts: SlirpCounts = countsOf(null)
  /** Of the process that runs, or ran last. */
  started: Started | null = null
  readonly #parts: SlirpProcessParts
  readonly #leases: Leases
  readonly #stopped = new AbortController()
  #running: Running | null = null
  #exited: Promise<void> = Promise.resolve()
  #restarting: Promise<void> = Promise.resolve()
  /** Why it was ended from here; else the signal or exit code tells. */
  #verdict: string | null = null
  #renewing = false
  #startedAt = 0
  #deaths = 0

  constructor(parts: SlirpProcessParts) {
    this.#parts = parts
    this.#leases = new Leases(parts.config.dhcpStart)
  }

  get isRunning(): boolean {
    return this.#running !== null
  }

  get pid(): number | null {
    return this.#running?.child.pid ?? null
  }

  /** Of the process that runs: what it may do for forwards. */
  allows({ unixSockets, lowPorts }: Needs): boolean {
    const has = this.#running?.needs
    return has === undefined || ((has.unixSockets || !unixSockets) && (has.lowPorts || !lowPorts))
  }

  /** Resolves when the loop runs; rejects with why it does not. */
  start(): Promise<void> {
    return this.#spawn()
  }

  /** Rejects while the process is being restarted, and when it does not answer. */
  command(command: SlirpCommand): Promise<SlirpResult> {
    const running = this.#running
    if (running === null) return Promise.reject(new Error('slirp is being restarted'))
    return running.requests.ask(command)
  }

  /** Gives it another link: the data plane at the far end is another, or was out of step. */
  join(): void {
    const running = this.#running
    if (running === null) return
    try {
      this.#passLink(running.links)
    } catch (error) {
      this.#kill(running.child, `it gets no link to the data plane: ${(error as Error).message}`)
    }
  }

  /** Ends it and starts another, with what forwards need by now. Resolves when that one runs, forwards included. */
  async renew(why: string): Promise<void> {
    const running = this.#running
    if (running === null) return this.#restarting
    this.#renewing = true
    this.#verdict = why
    await this.#end(running)
    await this.#restarting
  }

  /** Resolves when nothing of it is left. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#restarting
    if (this.#running !== null) await this.#end(this.#running)
    await this.#exited
    rmSync(this.#parts.folder, { recursive: true, force: true })
  }

  async #spawn(): Promise<void> {
    const { layout, config, account, needs } = this.#parts
    this.#makeFolder()
    const [links, theirs] = streamPair(layout)
    let child: ChildProcess
    try {
      child = this.#launch(theirs)
    } catch (error) {
      closeSocket(links)
      throw error
    } finally {
      closeSocket(theirs)
    }
    const words = new LastWords(child)
    const requests = new Requests(message => commands.write(encodeMessage(message)))
    const commands = child.stdio[COMMANDS] as Duplex
    const running: Running = { child, links, needs: needs(), requests }
    this.#listen(commands, requests, child)
    this.#startedAt = Date.now()
    this.#verdict = null
    const ended = new Promise<string>(resolve => {
      child.once('error', error => resolve(error.message))
      child.once('close', (code, signal) => resolve(this.#verdict ?? howItEnded(code, signal, words)))
    })
    this.#exited = ended.then(why => this.#ended(running, why))
    const start: SlirpCommand = { type: 'start', config, account, needs: running.needs, leases: this.#leases.list() }
    const failed = ended.then(why => Promise.reject(new Error(why)))
    const timer = setTimeout(() => {
      this.#kill(child, `it did not start in ${START_TIMEOUT_MS / 1000} s`)
    }, START_TIMEOUT_MS)
    try {
      const result = await Promise.race([requests.ask(start, START_TIMEOUT_MS), failed])
      if (!('started' in result)) throw new Error('refusal' in result ? result.refusal : 'it did not start')
      this.started = result.started
      // Not before: until it serves, its port is down.
      this.#passLink(links)
      // Last: the end of a process that runs starts another, and one that failed until here is its caller's to try
      // again.
      this.#running = running
    } catch (error) {
      child.kill('SIGKILL')
      throw await Promise.race([ended.then(why => new Error(why)), delay(STOP_TIMEOUT_MS, error as Error)])
    } finally {
      clearTimeout(timer)
    }
    const watch = new Watch({
      pid: child.pid as number,
      maxConnections: config.maxConnections,
      isLandlocked: this.started.sandbox.includes('landlock'),
      status: async () => {
        const status = await requests.ask({ type: 'status' })
        if ('counts' in status) this.counts = countsOf(status.counts)
      },
      hopeless: why => this.#kill(child, why),
      outdated: why => void this.renew(why),
    })
    void this.#exited.then(() => watch.close())
  }

  #launch(links: number): ChildProcess {
    const environment = KEPT_VARIABLES.filter(name => process.env[name] !== undefined)
    const unconfined = process.env.TAPSWITCH_SLIRP_SANDBOX === 'off' ? [UNCONFINED] : []
    const program = fileURLToPath(new URL('./child.js', import.meta.url))
    const child = spawn(process.execPath, [...NODE_OPTIONS, program, ...unconfined], {
      cwd: this.#parts.folder,
      env: Object.fromEntries(environment.map(name => [name, process.env[name]])),
      // Not in the process group that a terminal sends its signals to.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', links],
    })
    // Without a listener an error ends the switch. Where no descriptor is left, Node.js makes no streams, and says so a
    // moment later.
    child.on('error', () => {})
    if ((child.stdio as unknown) === undefined)
      throw new Error('there are no open files left to start it (LimitNOFILE=, ulimit -n)')
    return child
  }

  #listen(commands: Duplex, requests: Requests, child: ChildProcess): void {
    const reader = new ReplyReader()
    commands.on('error', () => {})
    commands.on('data', (piece: Buffer) => {
      try {
        for (const reply of reader.push(piece)) {
          if (reply.type === 'lease') this.#leases.remember(reply.lease)
          else requests.answer(reply.id, checkedResult(reply.result))
        }
      } catch (error) {
        this.#kill(child, `it sent what is no message: ${(error as Error).message}`)
      }
    })
  }

  /** Empty: a socket that the process before left would keep this one from its path. */
  #makeFolder(): void {
    const { folder, account } = this.#parts
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { mode: 0o700 })
    if (account !== null) chownSync(folder, account.uid, account.gid)
  }

  #passLink(links: number): void {
    const { freshLink, layout } = this.#parts
    const fd = freshLink()
    // Where this fails the process is ending, and another gets a link of its own.
    sendDescriptor(layout, links, fd)
    closeSocket(fd)
  }

  async #end({ child, requests }: Running): Promise<void> {
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await requests.ask({ type: 'stop' }).catch(() => {})
    await this.#exited
    clearTimeout(timer)
  }

  #kill(child: ChildProcess, why: string): void {
    this.#verdict ??= why
    child.kill('SIGKILL')
  }

  #ended(running: Running, why: string): void {
    closeSocket(running.links)
    running.requests.close()
    if (this.#running !== running) return
    this.#running = null
    if (this.#stopped.signal.aborted) return
    if (this.#renewing) this.#deaths = 0
    else {
      this.#deaths = Date.now() - this.#startedAt < STABLE_MS ? this.#deaths + 1 : 0
      this.#parts.died(why)
    }
    this.#renewing = false
    this.#restarting = this.#restart()
  }

  /** Ends when it runs, or when it is not wanted any more. */
  async #restart(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      const wait = RESTART_DELAYS_MS[Math.min(this.#deaths, RESTART_DELAYS_MS.length - 1)]
      await delay(wait, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      try {
        await this.#spawn()
        this.restarts++
        await this.#parts.restarted(this.restarts)
        return
      } catch (error) {
        this.#deaths++
        this.#parts.died((error as Error).message)
      }
    }
  }
}

function checkedResult(result: SlirpResult): SlirpResult {
  if (typeof result !== 'object' || result === null) throw new Error('a reply without a result')
  return result
}

function howItEnded(code: number | null, signal: NodeJS.Signals | null, words: LastWords): string {
  if (signal === 'SIGSYS') return 'it made a system call that its filter forbids (SIGSYS)'
  if (signal !== null) return `it was ended by ${signal}`
  const said = words.text()
  const error = code !== null && code < 0 ? getSystemErrorName(code) : `exit code ${code}`
  return said === '' ? `it ended with ${error}` : `it ended with ${error}: ${said}`
}
