/**
 * slirp: the main thread's half. It starts the process, joins it to the data plane, keeps the forwards, and tells the
 * operator.
 */
import { join } from 'node:path'
import { accountNumber } from '../config/accounts.js'
import type { Forward } from '../config/forwards.js'
import { forwardKey } from '../config/forwards.js'
import type { SlirpConfig } from '../config/interfaces/slirp.js'
import type { EndpointMessage, EndpointSpec } from '../dataplane/messages.js'
import { OperatorError } from '../errors.js'
import { egressPolicy } from '../transports/policy.js'
import { type GivenOptions, STREAM } from '../transports/stream/options.js'
import type { Facts, Transport, TransportContext } from '../transports/transport.js'
import { parseMac } from '../wire/ethernet.js'
import { Forwards } from './forwards.js'
import { GuestLimits } from './guest-limits.js'
import { knownFaults, loadSlirp, type SlirpLibrary, slirpUpdate } from './library.js'
import type { Needs } from './messages.js'
import { NameServers } from './name-servers.js'
import { Pairs } from './pairs.js'
import { SlirpProcess } from './process.js'
import { refusals } from './refusals.js'
import { requireOptions } from './stack.js'

export const SLIRP = 'slirp'

/** Throws OperatorError when there is no libslirp, when it is too old for an option, or when a forward cannot be. */
export async function openSlirp(config: SlirpConfig, context: TransportContext): Promise<Transport<SlirpConfig>> {
  const library = loadSlirp()
  requireOptions(config, library.configVersion, library.version)
  const transport = new SlirpTransport(config, context, library)
  try {
    await transport.start()
  } catch (error) {
    await transport.close()
    throw error
  }
  return transport
}

class SlirpTransport implements Transport<SlirpConfig> {
  config: SlirpConfig
  readonly #context: TransportContext
  readonly #library: SlirpLibrary
  readonly #pairs: Pairs
  readonly #process: SlirpProcess
  readonly #forwards: Forwards
  readonly #limits: GuestLimits
  readonly #nameServers: NameServers
  #closed: Promise<void> | null = null

  constructor(config: SlirpConfig, context: TransportContext, library: SlirpLibrary) {
    this.config = config
    this.#context = context
    this.#library = library
    const { layout } = context.os
    const folder = join(context.runtimeDir, `.slirp-${config.name}`)
    this.#pairs = new Pairs({
      layout,
      portName: config.name,
      peer: `libslirp ${library.version}`,
      send: context.send,
      lost: reason => this.#rejoin(reason),
    })
    this.#process = new SlirpProcess({
      config,
      layout,
      folder,
      account: process.getuid?.() === 0 ? (context.account ?? unprivilegedAccount()) : null,
      needs: () => this.#forwards.needs,
      freshLink: () => this.#pairs.renew(),
      died: why => this.#died(why),
      restarted: () => this.#restarted(),
    })
    this.#forwards = new Forwards({
      config,
      layout,
      folder,
      command: command => this.#process.command(command),
      prepare: needs => this.#prepare(needs),
    })
    this.#limits = new GuestLimits(config, () => this.#process.counts, context.findings)
    this.#nameServers = new NameServers(config, context.findings)
  }

  async start(): Promise<void> {
    this.#warn()
    this.#forwards.expect(this.config.forwards)
    await this.#process.start().catch(error => {
      throw new OperatorError(`slirp does not start: ${(error as Error).message}`, { cause: error })
    })
    this.#forwards.expect([])
    for (const forward of this.config.forwards) await this.#forwards.add(forward)
    this.#limits.start()
    this.#nameServers.start()
  }

  get where(): string {
    return this.config.network
  }

  facts(): Facts {
    const { gateway, dns, dhcp, dhcpStart, ipv6, mtu, restricted, hostLoopback } = this.config
    const { counts } = this.#process
    const { sockets, forwarded, refused, dropped, guestErrors } = counts
    return {
      library: `libslirp ${this.#library.version}`,
      gateway,
      dns: dns === false ? null : dns,
      dhcpStart: dhcp ? dhcpStart : null,
      ipv6Prefix: ipv6 === false ? null : ipv6.prefix,
      mtu,
      restricted,
      hostLoopback,
      running: this.#process.isRunning,
      pid: this.#process.pid,
      restarts: this.#process.restarts,
      sandbox: this.#process.started?.sandbox ?? null,
      connections: sockets,
      forwardedConnections: forwarded,
      refusedFrames: refused,
      refusals: refusals.filter(name => counts[name] > 0).map(name => `${name} ${counts[name]}`),
      droppedFrames: dropped,
      guestErrors,
      forwards: this.forwards().map(({ protocol, host, guest }) => `${protocol} ${host} -> ${guest}`),
    }
  }

  forwards(): readonly Forward[] {
    return this.#forwards.list()
  }

  addForward(forward: Forward): Promise<void> {
    return this.#forwards.add(forward)
  }

  removeForward(forward: Pick<Forward, 'protocol' | 'host'>): Promise<boolean> {
    return this.#forwards.remove(forward)
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    const { name, port } = this.config
    const options: GivenOptions = {
      mode: 'given',
      portKind: SLIRP,
      policy: egressPolicy(port),
      staticAddresses: port.fdb.static.map(mac => parseMac(mac) as number),
      framing: 'qemu',
      socket: { bufferBytes: 0, keepAliveSeconds: 0 },
      connections: this.#pairs.connections(),
    }
    return { name, kind: STREAM, index, options }
  }

  message(message: EndpointMessage): void {
    if (this.#closed === null) this.#pairs.message(message)
  }

  /** The policy of the port and the forwards may change; everything else is in libslirp for good. */
  canBecome(config: SlirpConfig): boolean {
    return JSON.stringify(rigid(config)) === JSON.stringify(rigid(this.config))
  }

  update(config: SlirpConfig): void {
    const before = this.config
    this.config = config
    this.#changeForwards(before.forwards, config.forwards).catch(error => this.#forwardFailed(error))
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#limits.close()
    this.#nameServers.close()
    await this.#process.stop()
    this.#forwards.close()
    this.#pairs.close()
  }

  /** Forwards that the API added stay; those that the file no longer has go. */
  async #changeForwards(before: readonly Forward[], after: readonly Forward[]): Promise<void> {
    const text = (forward: Forward) => `${forwardKey(forward)} ${forward.guest}`
    const wanted = new Set(after.map(text))
    const had = new Set(before.map(text))
    for (const forward of before) if (!wanted.has(text(forward))) await this.#forwards.remove(forward)
    for (const forward of after) if (!had.has(text(forward))) await this.#forwards.add(forward)
  }

  /** The data plane was replaced in the middle of a frame, or found the stream out of step. */
  #rejoin(reason: string): void {
    if (!this.#process.isRunning) return
    this.#context.log.debug({ interface: this.config.name, reason }, 'slirp gets another link to the data plane')
    this.#process.join()
  }

  async #prepare(needs: Needs): Promise<void> {
    if (this.#process.allows(needs)) return
    const why = 'a forward needs a unix socket or a port below 1024'
    this.#context.report({ level: 'info', event: 'slirp-renewed', message: `slirp is started anew: ${why}` })
    await this.#process.renew(why)
  }

  /** Told once, at the start: the version is what the whole run has. */
  #warn(): void {
    const faults = knownFaults(this.#library.version)
    if (faults === null) return
    const message = `libslirp ${this.#library.version} has memory faults that guests can reach (${faults}): ${slirpUpdate}`
    this.#context.findings.raise({ code: 'libslirp-faulty', message, detail: { version: this.#library.version } })
  }

  #died(why: string): void {
    const { findings, log } = this.#context
    const version = this.#library.version
    log.debug({ interface: this.config.name, why }, 'slirp died')
    findings.raise({
      code: 'slirp-died',
      message: `slirp (libslirp ${version}) died: ${why}; guests lost their connections to the outside. If it happens again, update libslirp, and look for the guest that causes it`,
      detail: { why, version },
    })
    findings.raise({
      code: 'slirp-restarting',
      message: `slirp died and is being restarted (${why}); until it runs, guests reach nothing outside`,
      detail: { why, version },
    })
  }

  async #restarted(): Promise<void> {
    const { findings } = this.#context
    const failed = await this.#forwards.restore()
    findings.clear('slirp-restarting')
    if (failed.length === 0) findings.clear('forward-failed')
    for (const { error } of failed) this.#forwardFailed(error)
  }

  #forwardFailed(error: Error): void {
    this.#context.findings.raise({
      code: 'forward-failed',
      message: `a port forward is not in force: ${error.message}`,
    })
  }
}

/** A user that owns nothing: "nobody", as every system has it. */
function unprivilegedAccount(): { uid: number; gid: number } {
  const uid = accountNumber('user', 'nobody') ?? 65_534
  return { uid, gid: accountNumber('group', 'nogroup') ?? accountNumber('group', 'nobody') ?? uid }
}

function rigid({ port, forwards: _forwards, ...rest }: SlirpConfig): unknown {
  return [rest, port.fdb.static]
}
