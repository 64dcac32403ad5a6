/**
 * vmnet: the main thread's half. The interface, the waker that its events ring, its port forwards, and what is shown of
 * it.
 */
import { networkInterfaces } from 'node:os'
import { type Forward, forwardKey } from '../config/forwards.js'
import type { VmnetConfig } from '../config/interfaces/vmnet.js'
import { forwardProblem } from '../config/interfaces/vmnet-rules.js'
import type { EndpointMessage, EndpointSpec } from '../dataplane/messages.js'
import { OperatorError } from '../errors.js'
import { rateLimited } from '../log.js'
import { type Waker, wake } from '../os/waker.js'
import { egressPolicy } from '../transports/policy.js'
import type { Facts, Transport, TransportContext } from '../transports/transport.js'
import { parseMac } from '../wire/ethernet.js'
import { VMNET, type VmnetEndpointOptions, type VmnetUpcall } from './endpoint-options.js'
import { statusName } from './status.js'
import { VmnetInterface } from './vmnet-interface.js'

/** Milliseconds between two lines about refused calls. */
const REPORT_MS = 60_000

export class VmnetTransport implements Transport<VmnetConfig> {
  config: VmnetConfig
  readonly #context: TransportContext
  readonly #interface: VmnetInterface
  readonly #waker: Waker
  readonly #forwards = new Map<string, Forward>()
  readonly #failed: (upcall: VmnetUpcall) => void
  #closing: Promise<void> | null = null

  constructor(config: VmnetConfig, context: TransportContext, running: VmnetInterface, waker: Waker) {
    this.config = config
    this.#context = context
    this.#interface = running
    this.#waker = waker
    const failed = rateLimited(
      fields =>
        context.report({
          level: 'warn',
          event: 'vmnet-failed',
          message: 'vmnet refuses frames',
          details: fields as Facts,
        }),
      REPORT_MS,
    )
    this.#failed = ({ call, status }) => failed({ call, status, code: statusName(status) }, '')
  }

  get where(): string {
    const { mode, bridgeInterface } = this.config.vmnet
    return mode === 'bridged' ? `vmnet bridged to ${bridgeInterface}` : `vmnet ${mode}`
  }

  facts(): Facts {
    const { mode = 'shared', bridgeInterface = null, isolated = false } = this.config.vmnet
    const { mac, mtu, maxPacketSize, readMaxPackets, writeMaxPackets, interfaceId } = this.#interface
    const { startAddress, endAddress, subnetMask, nat66Prefix, onNetworkObject, running } = this.#interface
    return {
      status: running ? 'SUCCESS' : 'STOPPED',
      mode, isolated, mac, mtu, maxPacketSize, readMaxPackets, writeMaxPackets, interfaceId,
      startAddress, endAddress, subnetMask, nat66Prefix, bridgeInterface,
      api: onNetworkObject ? 'network' : 'classic',
      ...hostSide(bridgeInterface, startAddress),
    } // biome-ignore format: a list of names
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    const { port } = this.config
    const { libraryPath, reference, maxPacketSize, readMaxPackets, writeMaxPackets, startAddress } = this.#interface
    const options: VmnetEndpointOptions = {
      policy: egressPolicy(port),
      staticAddresses: port.fdb.static.map(mac => parseMac(mac) as number),
      library: libraryPath,
      reference,
      peer: this.config.vmnet.bridgeInterface ?? startAddress ?? this.where,
      maxPacketSize,
      readMaxPackets,
      writeMaxPackets,
      readFd: this.#waker.readFd,
      writeFd: this.#waker.writeFd,
    }
    return { name: this.config.name, kind: VMNET, index, options }
  }

  message(message: EndpointMessage): void {
    const upcall = message as unknown as VmnetUpcall
    if (upcall.type === 'failed') this.#failed(upcall)
  }

  canBecome(config: VmnetConfig): boolean {
    return JSON.stringify(rigid(config)) === JSON.stringify(rigid(this.config))
  }

  /** Forwards of the file that are new are added, those that are gone are removed; what vmnet refuses is in the log. */
  update(config: VmnetConfig): void {
    const before = new Set(this.config.forwards.map(key))
    const after = new Map(config.forwards.map(forward => [key(forward), forward]))
    const removed = this.config.forwards.filter(forward => !after.has(key(forward)))
    const added = config.forwards.filter(forward => !before.has(key(forward)))
    this.config = config
    void this.#change(removed, added)
  }

  forwards(): readonly Forward[] {
    return [...this.#forwards.values()]
  }

  async addForward(forward: Forward): Promise<void> {
    const { mode = 'shared' } = this.config.vmnet
    if (mode !== 'shared') throw new OperatorError(`${mode} mode has no port forwards; shared mode has`)
    const problem = forwardProblem(forward)
    if (problem !== undefined) throw new OperatorError(problem)
    if (this.#forwards.has(forwardKey(forward))) throw new OperatorError(`"${forward.host}" is forwarded already`)
    // Taken at once, so that a second one does not slip in while vmnet is asked.
    this.#forwards.set(forwardKey(forward), forward)
    try {
      await this.#interface.addForward(forward)
    } catch (error) {
      this.#forwards.delete(forwardKey(forward))
      throw error
    }
  }

  async removeForward(forward: Pick<Forward, 'protocol' | 'host'>): Promise<boolean> {
    if (!this.#forwards.has(forwardKey(forward))) return false
    await this.#interface.removeForward(forward)
    return this.#forwards.delete(forwardKey(forward))
  }

  /** Resolves when vmnet has let go: the subnet is free for another then. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    try {
      await this.#interface.stop()
    } finally {
      this.#waker.close()
    }
  }

  async #change(removed: readonly Forward[], added: readonly Forward[]): Promise<void> {
    for (const [act, forwards] of [
      ['removeForward', removed],
      ['addForward', added],
    ] as const) {
      for (const forward of forwards) {
        await this[act](forward).catch(error => this.#context.report({
          level: 'error', event: 'forward-failed', message: String(error.message), details: { host: forward.host },
        })) // biome-ignore format: one call
      }
    }
  }
}

const key = (forward: Forward): string => `${forwardKey(forward)} ${forward.guest}`

/** What cannot change while the interface is up. */
function rigid(config: VmnetConfig): unknown {
  return [config.vmnet, config.port.fdb.static]
}

/** The Mac's own end: the interface that is bridged, or the bridge that vmnet made, which has the gateway's address. */
function hostSide(bridgeInterface: string | null, startAddress: string | null): Facts {
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    const found = addresses.find(({ address }) => name === bridgeInterface || address === startAddress)
    if (found !== undefined) return { hostInterface: name, hostMac: found.mac }
  }
  return { hostInterface: null, hostMac: null }
}

/** Throws OperatorError or VmnetError; nothing is left behind then. */
export async function openVmnet(config: VmnetConfig, context: TransportContext): Promise<Transport<VmnetConfig>> {
  const running = await VmnetInterface.start(config.vmnet, {
    onFallback: error =>
      context.report({ level: 'warn', event: 'vmnet-fallback', message: `without a network object: ${error.message}` }),
  })
  const waker = context.os.createWaker()
  const transport = new VmnetTransport(config, context, running, waker)
  try {
    running.notify(() => wake(waker.writeFd))
    for (const forward of config.forwards) await transport.addForward(forward)
    warnOfSizes(config, running, context)
    context.report({
      level: 'info',
      event: 'vmnet-started',
      message: 'vmnet interface started',
      details: transport.facts(),
    })
    return transport
  } catch (error) {
    await transport.close().catch(() => {})
    throw error
  }
}

/** The bridge's MTU is known only now. */
function warnOfSizes({ port }: VmnetConfig, { maxPacketSize }: VmnetInterface, { report }: TransportContext): void {
  if (maxPacketSize <= port.maxFrameSize) return
  report({
    level: 'warn',
    event: 'mtu-mismatch',
    message: `frames of up to ${maxPacketSize} bytes may come in, and those over ${port.maxFrameSize} are dropped (switch.maxFrameSize, port.maxFrameSize)`,
  })
}
