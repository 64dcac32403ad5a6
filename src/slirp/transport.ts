/** slirp: the main thread's half. It starts the thread, joins it to the data plane, and keeps the forwards. */
import type { Forward } from '../config/forwards.js'
import { forwardKey } from '../config/forwards.js'
import type { SlirpConfig } from '../config/interfaces/slirp.js'
import type { EndpointMessage, EndpointSpec } from '../dataplane/messages.js'
import { closeSocket } from '../os/unix-socket.js'
import type { Waker } from '../os/waker.js'
import { egressPolicy } from '../transports/policy.js'
import { type GivenOptions, STREAM } from '../transports/stream/options.js'
import type { Facts, Transport, TransportContext } from '../transports/transport.js'
import { parseMac } from '../wire/ethernet.js'
import { Forwards } from './forwards.js'
import { GuestLimits } from './guest-limits.js'
import { loadSlirp, type SlirpLibrary } from './library.js'
import { NameServers } from './name-servers.js'
import { Pairs } from './pairs.js'
import { refusals } from './refusals.js'
import { requireOptions } from './stack.js'
import { SlirpThread } from './thread.js'

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
  readonly #waker: Waker
  readonly #pairs: Pairs
  readonly #thread: SlirpThread
  readonly #forwards: Forwards
  readonly #limits: GuestLimits
  readonly #nameServers: NameServers
  #closed: Promise<void> | null = null

  constructor(config: SlirpConfig, context: TransportContext, library: SlirpLibrary) {
    this.config = config
    this.#context = context
    this.#library = library
    this.#waker = context.os.createWaker()
    this.#pairs = new Pairs({
      layout: context.os.layout,
      portName: config.name,
      peer: `libslirp ${library.version}`,
      send: context.send,
      lost: reason => this.#rejoin(reason),
    })
    this.#thread = new SlirpThread({
      config,
      waker: this.#waker,
      freshLink: () => this.#pairs.renew(),
      died: why => this.#died(why),
      restarted: restarts => this.#restarted(restarts),
    })
    this.#forwards = new Forwards(config, context.os.layout, command => this.#thread.command(command))
    this.#limits = new GuestLimits(config, () => this.#thread.shared.counts(), context.findings)
    this.#nameServers = new NameServers(config, context.findings)
  }

  async start(): Promise<void> {
    await this.#thread.start()
    for (const forward of this.config.forwards) await this.#forwards.add(forward)
    this.#limits.start()
    this.#nameServers.start()
  }

  get where(): string {
    return this.config.network
  }

  facts(): Facts {
    const { gateway, dns, dhcp, dhcpStart, ipv6, mtu, restricted, hostLoopback } = this.config
    const counts = this.#thread.shared.counts()
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
      running: this.#thread.isRunning,
      restarts: this.#thread.restarts,
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
    await this.#thread.stop()
    this.#forwards.close()
    this.#pairs.close()
    this.#waker.close()
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
    if (!this.#thread.isRunning) return
    this.#context.log.warn({ interface: this.config.name, reason }, 'slirp is joined to the data plane anew')
    const { fd, before } = this.#pairs.replace()
    const release = () => closeSocket(before)
    // Of a thread that is stuck nobody knows what it still uses.
    const releaseIfDead = () => this.#thread.isRunning || release()
    this.#thread.command({ type: 'join', fd }).then(release, releaseIfDead)
  }

  #died(why: string): void {
    this.#context.report({
      level: 'error',
      event: 'slirp-died',
      message: 'slirp died and is being restarted; connections of guests to the outside are lost',
      details: { why: why.split('\n')[0] ?? '' },
    })
    this.#context.log.debug({ interface: this.config.name, stack: why }, 'how slirp died')
  }

  #restarted(restarts: number): void {
    this.#context.report({
      level: 'warn',
      event: 'slirp-restarted',
      message: 'slirp runs again',
      details: { restarts, forwards: this.forwards().length },
    })
    this.#forwards
      .restore()
      .then(failed => {
        for (const { error } of failed) this.#forwardFailed(error)
      })
      .catch(error => this.#forwardFailed(error))
  }

  #forwardFailed(error: Error): void {
    this.#context.report({ level: 'error', event: 'forward-failed', message: error.message })
  }
}

function rigid({ port, forwards: _forwards, ...rest }: SlirpConfig): unknown {
  return [rest, port.fdb.static]
}
