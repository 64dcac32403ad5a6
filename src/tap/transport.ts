/**
 * tap: the main thread's half. It sets the TAP up, and sets it up again when it was deleted: after a second, then at
 * longer and longer intervals, for ever. The port is the same one then, and down in between.
 */
import type { TapConfig } from '../config/interfaces/tap.js'
import type { EndpointMessage, EndpointSpec } from '../dataplane/messages.js'
import { OperatorError } from '../errors.js'
import { rateLimited } from '../log.js'
import { egressPolicy } from '../transports/policy.js'
import type { Facts, Transport, TransportContext } from '../transports/transport.js'
import { parseMac } from '../wire/ethernet.js'
import type { DnsmasqListener } from './dnsmasq.js'
import { journalIn, type UndoJournal } from './journal.js'
import { TAP, type TapDowncall, type TapOptions, type TapUpcall } from './options.js'
import { TapSetup } from './setup.js'
import { readSetting } from './sysctl.js'

const ROUTE_LOCALNET = 'ipv4/conf/all/route_localnet'

/** Milliseconds between attempts to make a TAP that was deleted. */
const RETRY = { first: 1000, most: 30_000 }
/** Milliseconds between two lines about what dnsmasq complains of, which guests can cause at will. */
const COMPLAINTS_MS = 10_000

export async function openTap(config: TapConfig, context: TransportContext): Promise<Transport<TapConfig>> {
  if (context.os.layout.platform !== 'linux') {
    throw new OperatorError('a TAP needs Linux; on macOS, type: vmnet has the same three modes')
  }
  const journal = journalIn(context.runtimeDir, context.log)
  await journal.recover()
  const tap = new TapTransport(config, context, journal)
  await tap.open()
  return tap
}

class TapTransport implements Transport<TapConfig> {
  config: TapConfig
  readonly #context: TransportContext
  readonly #journal: UndoJournal
  #setup: TapSetup | null = null
  /** The last known, while there is none. */
  #device: string
  #mtu = 0
  #closed = false
  #retry: NodeJS.Timeout | null = null
  #work: Promise<void> = Promise.resolve()

  constructor(config: TapConfig, context: TransportContext, journal: UndoJournal) {
    this.config = config
    this.#context = context
    this.#journal = journal
    this.#device = config.device
  }

  /** Throws OperatorError. */
  async open(): Promise<void> {
    const { runtimeDir } = this.#context
    this.#setup = await TapSetup.open({
      config: this.config,
      runtimeDir,
      journal: this.#journal,
      dnsmasq: this.#dnsmasqListener(),
    })
    this.#device = this.#setup.device.name
    this.#mtu = this.#setup.mtu
    if (this.config.mode === 'host') this.#warnOfLoopback()
  }

  #dnsmasqListener(): DnsmasqListener {
    const { report, log, findings } = this.#context
    const { name, dhcp } = this.config
    const complain = rateLimited((fields, message) => log.warn(fields, message), COMPLAINTS_MS)
    return {
      ended: (why, inMs) =>
        report({
          level: 'warn',
          event: 'dhcp-server-ended',
          message: 'dnsmasq ended, and is started again',
          details: { why, inMs },
        }),
      restarted: () =>
        report({ level: 'info', event: 'dhcp-server-restarted', message: 'dnsmasq serves the guests again' }),
      lost: why =>
        findings.raise({
          code: 'dhcp-lost',
          message: `dnsmasq of ${name} was ended with its supervisor (${why}), guests get no addresses; restart the switch`,
        }),
      poolFull: () =>
        findings.raise({
          code: 'dhcp-pool-full',
          message: `all addresses of ${name} from ${dhcp?.start} to ${dhcp?.end} are given out, further guests get none; widen dhcp.start and dhcp.end, or shorten dhcp.leaseSeconds`,
          detail: { start: dhcp?.start ?? null, end: dhcp?.end ?? null },
        }),
      nameServers: some => {
        if (some) findings.clear('no-name-servers')
        else findings.raise({ code: 'no-name-servers', message: noNameServers(name) })
      },
      complained: text => complain({ interface: name, text }, 'dnsmasq complains'),
    }
  }

  /** The packet filter of mode `shared` sees to it; a TAP in mode `host` has none. */
  #warnOfLoopback(): void {
    if (readSetting(this.config.netns, ROUTE_LOCALNET) !== '1') return
    this.#context.report({
      level: 'warn',
      event: 'loopback-open',
      message: 'guests reach what listens on 127.0.0.1 of the host: net.ipv4.conf.all.route_localnet is on',
    })
  }

  get where(): string {
    const { netns } = this.config
    return netns === null ? this.#device : `${this.#device} in ${netns}`
  }

  facts(): Facts {
    const { mode, address, netns, bridge, dhcp } = this.config
    const setup = this.#setup
    return {
      mode,
      device: this.#device,
      mac: setup?.mac ?? null,
      mtu: setup?.mtu ?? null,
      netns,
      ...(mode === 'bridged' ? { bridge } : { address }),
      ...(dhcp === null
        ? {}
        : { dhcpStart: dhcp.start, dhcpEnd: dhcp.end, dnsmasq: setup?.dnsmasq?.state ?? 'stopped' }),
    }
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    const options: TapOptions = {
      fd: this.#setup?.device.fd ?? -1,
      device: this.#device,
      mtu: this.#mtu,
      policy: egressPolicy(this.config.port),
      staticAddresses: this.config.port.fdb.static.map(mac => parseMac(mac) as number),
    }
    return { name: this.config.name, kind: TAP, index, options }
  }

  message(message: EndpointMessage): void {
    const { type, fd } = message as unknown as TapUpcall
    if (type !== 'lost' || this.#closed || this.#setup?.device.fd !== fd) return
    this.#context.report({ level: 'warn', event: 'device-lost', message: `${this.where} was deleted` })
    this.#work = this.#rebuild(this.#setup)
  }

  /** The policy of the port can change. */
  canBecome(config: TapConfig): boolean {
    const rigid = ({ port, ...rest }: TapConfig) => JSON.stringify([rest, port.fdb.static])
    return rigid(config) === rigid(this.config)
  }

  update(config: TapConfig): void {
    this.config = config
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#retry !== null) clearTimeout(this.#retry)
    await this.#work
    await this.#setup?.close()
    this.#setup = null
  }

  /** What belonged to the lost TAP goes first; then it is made anew. */
  async #rebuild(lost: TapSetup): Promise<void> {
    this.#setup = null
    await lost.close()
    this.#again(RETRY.first)
  }

  #again(inMs: number): void {
    if (this.#closed) return
    this.#retry = setTimeout(() => {
      this.#work = this.#tryAgain(inMs)
    }, inMs)
  }

  async #tryAgain(waitedMs: number): Promise<void> {
    try {
      await this.open()
    } catch (error) {
      const { message } = error as Error
      const inMs = Math.min(2 * waitedMs, RETRY.most)
      this.#context.report({ level: 'warn', event: 'device-not-made', message, details: { inMs } })
      this.#again(inMs)
      return
    }
    const downcall: TapDowncall = { type: 'device', fd: this.#setup?.device.fd ?? -1, device: this.#device }
    if (this.#closed) return
    this.#context.send({ ...downcall })
    this.#context.report({ level: 'info', event: 'device-made', message: `${this.where} is there again` })
  }
}

const noNameServers = (name: string) =>
  `/etc/resolv.conf names no server to ask, DNS questions of the guests of ${name} stay without an answer; mend the file and restart, or set dhcp.dns`
