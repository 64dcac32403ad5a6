/** vxlan: the main thread's half. Shared sockets, names of remotes, and what fits through. */
import type { VxlanConfig } from '../../config/config.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import type { InetAddress } from '../../os/sockaddr-in.js'
import { type IpPrefix, parseIpPrefix } from '../../wire/ip-prefix.js'
import { VXLAN_HEADER_SIZE } from '../../wire/vxlan.js'
import { formatInetAddress, inetLabel, literalAddress } from '../inet-text.js'
import type { TunnelContext } from '../open-udp.js'
import { PeerNames } from '../peer-names.js'
import { portOptions } from '../port-options.js'
import type { Facts, Transport } from '../transport.js'
import { reportTunnelMtu, type TunnelMtu, tunnelMtu } from '../tunnel-mtu.js'
import { type RemoteSettings, VXLAN, type VxlanOptions, type VxlanUpcall } from './options.js'
import { acquireVxlanSockets, releaseVxlanSockets, type VxlanSockets } from './shared-sockets.js'

/** Throws OperatorError. */
export async function openVxlan(config: VxlanConfig, context: TunnelContext): Promise<VxlanTransport> {
  const listen = literalAddress(config.listen)
  const names = new PeerNames(context.os.layout, listen.ip.length === 4 ? 4 : 6, () => transport.remotesChanged())
  let transport: VxlanTransport
  try {
    await names.set(config.remotes)
    transport = new VxlanTransport(config, context, names, listen, acquireVxlanSockets(context.os, listen, config))
  } catch (error) {
    names.close()
    throw error
  }
  transport.reportMtu()
  return transport
}

class VxlanTransport implements Transport<VxlanConfig> {
  config: VxlanConfig
  readonly #context: TunnelContext
  readonly #names: PeerNames
  readonly #listen: InetAddress
  readonly #sockets: VxlanSockets
  #learned: readonly Uint8Array[] = []
  #closed = false

  constructor(
    config: VxlanConfig,
    context: TunnelContext,
    names: PeerNames,
    listen: InetAddress,
    sockets: VxlanSockets,
  ) {
    this.config = config
    this.#context = context
    this.#names = names
    this.#listen = listen
    this.#sockets = sockets
  }

  get where(): string {
    return `${formatInetAddress(this.#listen)} VNI ${this.config.vni}`
  }

  facts(): Facts {
    const { overhead, path, guest } = this.#mtu()
    return {
      vni: this.config.vni,
      listen: formatInetAddress(this.#listen),
      remotes: this.#names.peers.map(({ address }) => formatInetAddress(address)),
      learnedRemotes: this.#learned.map(address => inetLabel(this.#context.os.layout, address) as string),
      overheadBytes: overhead,
      pathMtu: path,
      guestMtu: guest,
    }
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    const { vni, port } = this.config
    const options: VxlanOptions = {
      vni,
      fds: this.#sockets.fds,
      sendFds: this.#sockets.sendFds,
      port: this.#listen.port,
      maxEntries: port.fdb.maxEntries,
      ...portOptions(port),
      ...this.#settings(),
    }
    return { name: this.config.name, kind: VXLAN, index, options }
  }

  message(message: EndpointMessage): void {
    this.#learned = (message as unknown as VxlanUpcall).addresses
  }

  canBecome(config: VxlanConfig): boolean {
    return JSON.stringify(rigid(config)) === JSON.stringify(rigid(this.config))
  }

  update(config: VxlanConfig): void {
    this.config = config
    this.#names
      .set(config.remotes)
      .then(() => {
        if (!this.#closed && this.config === config) this.remotesChanged()
      })
      .catch(error => {
        const message = `the remotes are as they were: ${(error as Error).message}`
        this.#context.report({ level: 'error', event: 'remotes-not-changed', message })
      })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#names.close()
    releaseVxlanSockets(this.#context.os, this.#listen)
  }

  remotesChanged(): void {
    this.#context.send({ type: 'remotes', ...this.#settings() })
  }

  reportMtu(): void {
    reportTunnelMtu(this.#context, this.#mtu())
  }

  #mtu(): TunnelMtu {
    const remotes = this.#names.peers.map(({ address }) => address)
    const family = this.#listen.ip.length === 4 ? 4 : 6
    return tunnelMtu(this.#context.os.layout, remotes, family, VXLAN_HEADER_SIZE, this.config.port.maxFrameSize)
  }

  #settings(): RemoteSettings {
    const { learnRemotes, allowedSources, maxRemotes, remoteTimeoutSeconds, ageingSeconds } = this.config
    return {
      remotes: this.#names.peers.map(({ key, raw }) => ({ key, address: raw })),
      ageingMs: ageingSeconds * 1000,
      learn: learnRemotes
        ? {
            allowed: allowedSources.map(text => parseIpPrefix(text) as IpPrefix),
            maxRemotes,
            timeoutMs: remoteTimeoutSeconds * 1000,
          }
        : null,
    }
  }
}

/** What cannot change while the socket is open. */
function rigid({ vni, listen, fragment, sourcePorts, port }: VxlanConfig): unknown {
  return [vni, listen, fragment, sourcePorts, port.fdb]
}
