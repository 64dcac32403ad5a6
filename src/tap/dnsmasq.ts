/**
 * DHCP and DNS for the guests: dnsmasq, below a supervisor that starts it again when it ends (dnsmasq-supervisor.ts).
 *
 * dnsmasq reads what guests send, so it does not run as root: setpriv gives it another user, the three capabilities it
 * works with, and no way to more. It ends with the switch, however the switch ends.
 *
 * The leases are in a file that root keeps (records.ts), in a folder that dnsmasq's user cannot enter. It gets the open
 * file as its standard input, and is told that its leases are there. It reads no configuration of the system's own
 * dnsmasq.
 */
import type { ChildProcess } from 'node:child_process'
import { closeSync, fchownSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { accountNumber } from '../config/accounts.js'
import { OperatorError } from '../errors.js'
import type { PrivateFolder } from '../os/private-folder.js'
import { formatIpv4 } from '../wire/ip-address.js'
import { netmask } from '../wire/ipv4-network.js'
import { type DnsmasqLine, readLine } from './dnsmasq-lines.js'
import { SUPERVISOR } from './dnsmasq-supervisor.js'
import { findProgram, runProgram, spawnProgram } from './programs.js'

export interface DnsmasqOptions {
  readonly device: string
  readonly netns: string | null
  /** The host's address, dotted, and its prefix length. */
  readonly address: string
  readonly prefixLength: number
  readonly start: string
  readonly end: string
  readonly leaseSeconds: number
  /** Servers that questions are passed on to; null: those of the host. */
  readonly dns: readonly string[] | null
  /** Tells the guests that the host is their router, and answers their DNS questions. */
  readonly shared: boolean
  readonly mtu: number
  /** Where the leases are kept, and under which name. */
  readonly records: PrivateFolder
  readonly leaseFile: string
}

/** What depends on this machine. */
export interface DnsmasqMachine {
  /** Whether dnsmasq can tell guests with one client identifier apart, from 2.81 on. */
  readonly ignoresClientId: boolean
  /** Whether the host has a /etc/resolv.conf; dnsmasq does not start where it is a link to nothing. */
  readonly hasResolvConf: boolean
}

const RESOLV_CONF = '/etc/resolv.conf'
const CAPABILITIES = ['net_admin', 'net_raw', 'net_bind_service'].map(name => `+${name}`).join(',')

/**
 * Arguments of setpriv that come before the program. `account`: the user it becomes; null leaves that, where we are not
 * root.
 */
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

export function dnsmasqArguments(options: DnsmasqOptions, machine: DnsmasqMachine): string[] {
  const { device, address, prefixLength, start, end, leaseSeconds, dns, shared, mtu } = options
  const mask = formatIpv4(netmask(prefixLength))
  return [
    '--keep-in-foreground',
    ...['--conf-file=/dev/null', '--pid-file=', '--log-facility=-', '--dhcp-leasefile=/proc/self/fd/0'],
    ...[`--interface=${device}`, '--except-interface=lo', '--bind-interfaces'],
    `--dhcp-range=${start},${end},${mask},${leaseSeconds}`,
    '--dhcp-authoritative',
    // Guests can ask at will; what is left are complaints.
    '--quiet-dhcp',
    // A cloned VM has the client identifier of its original, and would get its address.
    ...(machine.ignoresClientId ? ['--dhcp-ignore-clid'] : []),
    `--dhcp-option=option:router${shared ? `,${address}` : ''}`,
    // RFC 2132, 5.1. Guests take 1500 for granted.
    ...(mtu === 1500 ? [] : [`--dhcp-option-force=option:mtu,${mtu}`]),
    // The names in the host's own files stay unknown to the guests.
    ...(shared ? ['--no-hosts', '--domain-needed', '--bogus-priv'] : ['--port=0', '--dhcp-option=option:dns-server']),
    ...(dns === null && machine.hasResolvConf ? [] : ['--no-resolv']),
    ...(dns ?? []).map(server => `--server=${server}`),
  ]
}

/** Milliseconds; it takes some twenty. */
const START_TIMEOUT_MS = 15_000
const STOP_TIMEOUT_MS = 2_000
/** Lines kept to say why it ended. */
const KEPT_LINES = 20

export type DnsmasqState = 'starting' | 'running' | 'restarting' | 'stopped'

export interface DnsmasqListener {
  /** It ended unasked, and is started again in so many milliseconds. `why` is the last it said. */
  ended(why: string, inMs: number): void
  restarted(): void
  /** It ended unasked, and is not started again: its supervisor was killed. */
  lost(why: string): void
  /** A guest got no address, because all are given out. Once for each request. */
  poolFull(): void
  /** Whether it has a server to pass questions on to; once for each change at the most. */
  nameServers(some: boolean): void
  /** Anything else it complains of. */
  complained(text: string): void
}

export class Dnsmasq {
  state: DnsmasqState = 'starting'
  readonly #options: DnsmasqOptions
  readonly #listener: DnsmasqListener
  readonly #said: string[] = []
  #child: ChildProcess | null = null
  #closed: Promise<void> = Promise.resolve()
  #stopping = false
  #hasNameServers = true

  /** Resolves when it serves. Throws OperatorError, with what it said, when it does not. */
  static async start(options: DnsmasqOptions, listener: DnsmasqListener): Promise<Dnsmasq> {
    const server = new Dnsmasq(options, listener)
    try {
      await server.#launch(await inspectMachine())
    } catch (error) {
      await server.stop()
      if (error instanceof OperatorError) throw error
      throw new OperatorError(`dnsmasq does not start: ${(error as Error).message}`, { path: 'dhcp', cause: error })
    }
    return server
  }

  private constructor(options: DnsmasqOptions, listener: DnsmasqListener) {
    this.#options = options
    this.#listener = listener
  }

  /** Idempotent. dnsmasq is gone after it, and the leases are too where this process may remove them. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.state = 'stopped'
    const child = this.#child
    if (child !== null && isRunning(child)) {
      child.stdin?.end()
      const timer = setTimeout(() => killIfAllowed(child), STOP_TIMEOUT_MS)
      await Promise.race([this.#closed, delay(2 * STOP_TIMEOUT_MS, undefined, { ref: false })])
      clearTimeout(timer)
    }
    const { records, leaseFile } = this.#options
    if (!records.isOurs) return
    records.remove(leaseFile)
    records.removeIfEmpty()
  }

  /** Starts the supervisor, and waits until dnsmasq serves. */
  async #launch(machine: DnsmasqMachine): Promise<void> {
    if (this.#options.shared && this.#options.dns === null && !machine.hasResolvConf) this.#nameServers(false)
    const child = this.#spawn(machine)
    this.#child = child
    this.#closed = new Promise(resolve => {
      child.once('close', () => resolve())
      child.once('error', () => resolve())
    })
    ;(child.stdin as Writable).on('error', () => {})
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`silent for ${START_TIMEOUT_MS / 1000} s`)), START_TIMEOUT_MS)
      const settle = (error?: Error) => {
        clearTimeout(timer)
        if (error === undefined) resolve()
        else reject(error)
      }
      child.once('error', settle).once('close', () => settle(new Error(this.#why(child))))
      createInterface({ input: child.stderr as Readable }).on('line', line => {
        const { state } = this
        const meaning = readLine(line)
        this.#take(meaning)
        if (state !== 'starting') return
        if (meaning.kind === 'started') settle()
        if (meaning.kind === 'ended') settle(new Error(this.#why(child)))
      })
    })
    child.once('close', () => {
      if (this.#stopping) return
      this.state = 'stopped'
      this.#listener.lost(this.#why(child))
    })
  }

  #take(line: DnsmasqLine): void {
    switch (line.kind) {
      case 'started':
        if (this.state === 'restarting') this.#listener.restarted()
        if (!this.#stopping) this.state = 'running'
        this.#said.length = 0
        return
      case 'ended':
        if (this.state !== 'running' && this.state !== 'restarting') return
        this.state = 'restarting'
        this.#listener.ended(this.#said.at(-1) ?? `ended with status ${line.status}`, line.inMs)
        return
      case 'pool-full':
        this.#listener.poolFull()
        return
      case 'no-name-servers':
      case 'name-servers':
        this.#nameServers(line.kind === 'name-servers')
        return
      case 'problem':
        this.#said.push(line.text)
        if (this.#said.length > KEPT_LINES) this.#said.shift()
        if (this.state === 'running') this.#listener.complained(line.text)
    }
  }

  #nameServers(some: boolean): void {
    if (some === this.#hasNameServers) return
    this.#hasNameServers = some
    this.#listener.nameServers(some)
  }

  #why({ signalCode, exitCode }: ChildProcess): string {
    return this.#said.at(-1) ?? `ended by ${signalCode ?? `exit code ${exitCode}`}`
  }

  #spawn(machine: DnsmasqMachine): ChildProcess {
    const { leaseFile, records, netns } = this.#options
    const account = process.getuid?.() === 0 ? serviceAccount() : null
    const leases = records.open(leaseFile, account === null ? [] : [account.uid])
    try {
      if (account !== null) fchownSync(leases, account.uid, account.gid)
      const program = findProgram('dnsmasq') ?? 'dnsmasq'
      const supervisor = ['/bin/sh', '-c', SUPERVISOR, 'dnsmasq-supervisor']
      const args = [...setprivArguments(account), ...supervisor, program, ...dnsmasqArguments(this.#options, machine)]
      // In a process group of its own: Ctrl-C is for the switch, which then ends dnsmasq.
      return spawnProgram('setpriv', args, { stdio: ['pipe', 'ignore', 'pipe', leases], detached: true }, netns)
    } finally {
      closeSync(leases)
    }
  }
}

async function inspectMachine(): Promise<DnsmasqMachine> {
  const help = await runProgram('dnsmasq', ['--help'], { netns: null })
  return { ignoresClientId: help.includes('--dhcp-ignore-clid'), hasResolvConf: isReadable(RESOLV_CONF) }
}

function isReadable(file: string): boolean {
  try {
    readFileSync(file)
    return true
  } catch {
    return false
  }
}

/** The account that a distribution's dnsmasq has, where it is installed as a service; else `nobody`. */
function serviceAccount(): { uid: number; gid: number } {
  const uid = accountNumber('user', 'dnsmasq') ?? accountNumber('user', 'nobody') ?? 65_534
  const gid = accountNumber('group', 'nogroup') ?? accountNumber('group', 'nobody') ?? 65_534
  return { uid, gid }
}

const isRunning = (child: ChildProcess) =>
  child.exitCode === null && child.signalCode === null && child.pid !== undefined

/** Without root another user's process cannot be killed. */
function killIfAllowed(child: ChildProcess): void {
  try {
    child.kill('SIGKILL')
  } catch {
    // It ends by itself, once it sees that the pipe is closed.
  }
}
