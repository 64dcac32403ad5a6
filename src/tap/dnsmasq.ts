/**
 * DHCP and DNS for the guests: a dnsmasq child, watched and started again when it ends.
 *
 * It reads what guests send, so it does not run as root: setpriv gives it another user, the three capabilities it works with, and
 * nothing to gain more by. It dies with us, because setpriv also asks the kernel to kill it when its parent ends; dnsmasq's own way of
 * giving root up would cancel that (prctl(2), PR_SET_PDEATHSIG: cleared when credentials change), so it is never root.
 *
 * The leases are in a file beside our sockets, in a directory that this user cannot enter. It gets the open file as its standard input,
 * and is told that its leases are there. It reads no configuration of the system's own dnsmasq.
 */
import type { ChildProcess } from 'node:child_process'
import { closeSync, fchownSync, openSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { accountNumber } from '../config/accounts.js'
import { OperatorError } from '../errors.js'
import { formatIpv4 } from '../wire/ip-address.js'
import { netmask } from '../wire/ipv4-network.js'
import { findProgram, spawnProgram } from './programs.js'

export interface DnsmasqOptions {
  readonly device: string
  readonly netns: string | null
  /** The host's address, dotted, and its prefix length. */
  readonly address: string
  readonly prefixLength: number
  readonly start: string
  readonly end: string
  readonly leaseSeconds: number
  /** Whom it asks; null: whom the host asks. */
  readonly dns: readonly string[] | null
  /** Tells the guests that the host is their router, and answers their DNS questions. */
  readonly shared: boolean
  readonly mtu: number
  readonly leaseFile: string
}

const CAPABILITIES = ['net_admin', 'net_raw', 'net_bind_service'].map(name => `+${name}`).join(',')

/** Arguments of setpriv that come before the program. `account`: who it becomes; null leaves that, where we are not root. */
export function setprivArguments(account: { uid: number; gid: number } | null): string[] {
  const who =
    account === null
      ? []
      : [
          ...['--reuid', String(account.uid), '--regid', String(account.gid), '--clear-groups'],
          ...['--inh-caps', `-all,${CAPABILITIES}`, '--ambient-caps', `-all,${CAPABILITIES}`],
          ...['--bounding-set', `-all,${CAPABILITIES}`],
        ]
  return [...who, '--no-new-privs', '--pdeathsig', 'KILL']
}

export function dnsmasqArguments(options: DnsmasqOptions): string[] {
  const { device, address, prefixLength, start, end, leaseSeconds, dns, shared, mtu } = options
  const mask = formatIpv4(netmask(prefixLength))
  return [
    '--keep-in-foreground',
    ...['--conf-file=/dev/null', '--pid-file=', '--log-facility=-', '--dhcp-leasefile=/proc/self/fd/0'],
    ...[`--interface=${device}`, '--except-interface=lo', '--bind-interfaces'],
    `--dhcp-range=${start},${end},${mask},${leaseSeconds}`,
    '--dhcp-authoritative',
    `--dhcp-option=option:router${shared ? `,${address}` : ''}`,
    // RFC 2132, 5.1. Guests take 1500 for granted.
    ...(mtu === 1500 ? [] : [`--dhcp-option-force=option:mtu,${mtu}`]),
    // The names in the host's own files are not the guests' business.
    ...(shared ? ['--no-hosts', '--domain-needed', '--bogus-priv'] : ['--port=0', '--dhcp-option=option:dns-server']),
    ...(dns === null ? [] : ['--no-resolv', ...dns.map(server => `--server=${server}`)]),
  ]
}

/** Milliseconds before it is started again: doubled after each end that came soon, back to the first after a good while. */
const BACK_OFF = { first: 500, most: 30_000, goodWhile: 60_000 }
/** Milliseconds; it takes some twenty. */
const START_TIMEOUT_MS = 15_000
const STOP_TIMEOUT_MS = 2_000
/** Lines kept to say why it ended. */
const KEPT_LINES = 20

export type DnsmasqState = 'starting' | 'running' | 'restarting' | 'stopped'

export interface DnsmasqListener {
  /** It ended unasked. `why` is the last it said; `inMs` when it is started again. */
  ended(why: string, inMs: number): void
  restarted(): void
}

export class Dnsmasq {
  state: DnsmasqState = 'starting'
  readonly #options: DnsmasqOptions
  readonly #listener: DnsmasqListener
  readonly #stopping = new AbortController()
  #child: ChildProcess | null = null
  #watching: Promise<void> = Promise.resolve()

  /** Resolves when it serves. Throws OperatorError, with what it said, when it does not. */
  static async start(options: DnsmasqOptions, listener: DnsmasqListener): Promise<Dnsmasq> {
    const server = new Dnsmasq(options, listener)
    try {
      await server.#launch()
    } catch (error) {
      await server.stop()
      throw new OperatorError(`dnsmasq does not start: ${(error as Error).message}`, { path: 'dhcp', cause: error })
    }
    return server
  }

  private constructor(options: DnsmasqOptions, listener: DnsmasqListener) {
    this.#options = options
    this.#listener = listener
  }

  get pid(): number | null {
    return this.state === 'running' ? (this.#child?.pid ?? null) : null
  }

  /** Idempotent. The child is gone after it, and the leases are too. */
  async stop(): Promise<void> {
    if (!this.#stopping.signal.aborted) this.#stopping.abort()
    this.state = 'stopped'
    const child = this.#child
    if (child !== null && isRunning(child)) {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
      await ended(child)
      clearTimeout(timer)
    }
    await this.#watching
    rmSync(this.#options.leaseFile, { force: true })
  }

  /** Starts the child and waits until it serves. */
  async #launch(): Promise<void> {
    const child = this.#spawn()
    this.#child = child
    const said: string[] = []
    const serving = new Promise<void>((resolve, reject) => {
      const failed = () => reject(new Error(reasonOf(said, child)))
      const timer = setTimeout(() => {
        child.kill('SIGKILL')
        reject(new Error(`silent for ${START_TIMEOUT_MS / 1000} s`))
      }, START_TIMEOUT_MS)
      child.once('error', reject).once('close', failed)
      const lines = createInterface({ input: child.stderr as NodeJS.ReadableStream })
      lines.on('line', line => {
        said.push(line.replace(/^dnsmasq(?:-\w+)?(?:\[\d+\])?: /, ''))
        if (said.length > KEPT_LINES) said.shift()
        if (/: started, version/.test(line)) {
          clearTimeout(timer)
          resolve()
        }
      })
      child.once('close', () => clearTimeout(timer))
    })
    await serving
    if (this.#stopping.signal.aborted) return
    this.state = 'running'
    const since = performance.now()
    this.#watching = ended(child).then(() => this.#restart(reasonOf(said, child), performance.now() - since))
  }

  async #restart(why: string, livedMs: number): Promise<void> {
    let wait = BACK_OFF.first
    for (let reason = why, lived = livedMs; !this.#stopping.signal.aborted; ) {
      this.state = 'restarting'
      if (lived > BACK_OFF.goodWhile) wait = BACK_OFF.first
      this.#listener.ended(reason, wait)
      try {
        await delay(wait, undefined, { signal: this.#stopping.signal })
        await this.#launch()
        if (!this.#stopping.signal.aborted) this.#listener.restarted()
        return
      } catch (error) {
        reason = (error as Error).message
        lived = 0
        wait = Math.min(wait * 2, BACK_OFF.most)
      }
    }
  }

  #spawn(): ChildProcess {
    const { leaseFile, netns } = this.#options
    const account = process.getuid?.() === 0 ? serviceAccount() : null
    const leases = openSync(leaseFile, 'a+', 0o600)
    try {
      if (account !== null) fchownSync(leases, account.uid, account.gid)
      const program = findProgram('dnsmasq') ?? 'dnsmasq'
      const args = [...setprivArguments(account), program, ...dnsmasqArguments(this.#options)]
      return spawnProgram('setpriv', args, { stdio: [leases, 'ignore', 'pipe'] }, netns)
    } finally {
      closeSync(leases)
    }
  }
}

/** The account that a distribution's dnsmasq has, where it is installed as a service; else nobody. */
function serviceAccount(): { uid: number; gid: number } {
  const uid = accountNumber('user', 'dnsmasq') ?? accountNumber('user', 'nobody') ?? 65_534
  const gid = accountNumber('group', 'nogroup') ?? accountNumber('group', 'nobody') ?? 65_534
  return { uid, gid }
}

function reasonOf(said: readonly string[], child: ChildProcess): string {
  // Its last words, where it says that it fails; else its end says more than a greeting.
  const words = said.findLast(line => /fail|cannot|bad|illegal|unknown|unable|not |missing/i.test(line))
  return words ?? `ended by ${child.signalCode ?? `exit code ${child.exitCode}`}`
}

const isRunning = (child: ChildProcess) =>
  child.exitCode === null && child.signalCode === null && child.pid !== undefined

function ended(child: ChildProcess): Promise<void> {
  return isRunning(child) ? new Promise(resolve => child.once('close', () => resolve())) : Promise.resolve()
}
