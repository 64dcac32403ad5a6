/**
 * Whether the name server that libslirp asks for guests can be used. libslirp takes the first IPv4 address after
 * "nameserver" in /etc/resolv.conf (slirp.c, get_dns_addr) and never another one, so a list of IPv6 addresses, or a
 * first one that is dead, leaves guests without names while the host resolves them well.
 *
 * The server is asked for the servers of the root, once when the interface opens. While there is something to complain
 * about, and after the file has changed, it is asked again every minute.
 */
import { createSocket } from 'node:dgram'
import { readFileSync, statSync } from 'node:fs'
import type { SlirpConfig } from '../config/interfaces/slirp.js'
import type { OwnFindings } from '../transports/transport.js'
import { parseIpv4, parseIpv6 } from '../wire/ip-address.js'

const AGAIN_MS = 60_000
const TRIES = 3
const ANSWER_MS = 2000
const DNS_PORT = 53
/** RFC 1035: one question, recursion desired; the root's name, type NS, class IN. */
const question = Uint8Array.of(0x74, 0x73, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1)

type Config = Pick<SlirpConfig, 'dns' | 'restricted'>

export interface NameServerOptions {
  readonly path?: string
  readonly port?: number
  readonly answerMs?: number
}

export class NameServers {
  readonly #config: Config
  readonly #findings: OwnFindings
  readonly #path: string
  readonly #port: number
  readonly #answerMs: number
  #checkedAs: string | null = null
  #isGood = true
  #timer: NodeJS.Timeout | null = null
  #isClosed = false

  constructor(
    config: Config,
    findings: OwnFindings,
    { path = '/etc/resolv.conf', port = DNS_PORT, answerMs = ANSWER_MS }: NameServerOptions = {},
  ) {
    this.#config = config
    this.#findings = findings
    this.#path = path
    this.#port = port
    this.#answerMs = answerMs
  }

  start(): void {
    if (this.#config.dns === false || this.#config.restricted) return
    void this.check()
    this.#timer = setInterval(() => void this.check(), AGAIN_MS)
    this.#timer.unref()
  }

  close(): void {
    this.#isClosed = true
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  /** Resolves when the finding is raised or cleared. */
  async check(): Promise<void> {
    const version = versionOf(this.#path)
    if (this.#isGood && version === this.#checkedAs) return
    this.#checkedAs = version
    const problem = await this.#problem()
    if (this.#isClosed) return
    this.#isGood = problem === undefined
    if (problem === undefined) this.#findings.clear('no-name-servers')
    else this.#findings.raise({ code: 'no-name-servers', message: problem })
  }

  async #problem(): Promise<string | undefined> {
    const servers = nameServersIn(textOf(this.#path))
    const first = servers.find(server => parseIpv4(server) !== undefined)
    if (first === undefined) {
      const found =
        servers.length === 0 ? 'no name server' : `no IPv4 name server (only ${servers.slice(0, 3).join(', ')})`
      return `${this.#path} has ${found}, so guests that ask ${this.#config.dns} get no answer; add one, or set dns: false and give guests another`
    }
    for (let i = 0; i < TRIES && !this.#isClosed; i++) if (await answers(first, this.#port, this.#answerMs)) return
    return `the name server ${first} does not answer; it is the first in ${this.#path}, and libslirp asks no other for guests: put one that answers first`
  }
}

/** The addresses after "nameserver", in their order; of IPv6 without the zone. */
export function nameServersIn(text: string): string[] {
  const named = [...text.matchAll(/^nameserver[ \t]+(\S+)/gm)].map(match => match[1] as string)
  return named.filter(server => parseIpv4(server) !== undefined || parseIpv6(server.replace(/%.*/, '')) !== undefined)
}

/** Whether anything comes back, an error of DNS too. */
function answers(server: string, port: number, waitMs: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createSocket('udp4')
    const end = (isAnswered: boolean) => {
      clearTimeout(timer)
      socket.removeAllListeners()
      socket.on('error', () => {})
      socket.close()
      resolve(isAnswered)
    }
    const timer = setTimeout(() => end(false), waitMs)
    socket.on('error', () => end(false))
    socket.on('message', () => end(true))
    // Node.js calls back with the error where there is no way to the server; its types do not say so.
    const connected = (...[error]: unknown[]) => (error === undefined ? socket.send(question) : end(false))
    socket.connect(port, server, connected)
    socket.unref()
  })
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function versionOf(path: string): string {
  try {
    const { ino, mtimeMs, size } = statSync(path)
    return `${ino} ${mtimeMs} ${size}`
  } catch {
    return ''
  }
}
