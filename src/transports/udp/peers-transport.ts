/** udp with a port for each peer: the main thread's half. */
import type { UdpConfig, UdpPeersConfig } from '../../config/config.js'
import { hasOnePeer } from '../../config/transports/udp.js'
import type { EndpointSpec } from '../../dataplane/messages.js'
import type { Layout } from '../../os/layout.js'
import { localAddress } from '../../os/udp-socket.js'
import { closeSocket } from '../../os/unix-socket.js'
import { type IpPrefix, parseIpPrefix } from '../../wire/ip-prefix.js'
import { formatInetAddress, literalAddress } from '../inet-text.js'
import { MAX_LANES, openBoundUdp, openLanes, SOCKET_BUFFER_BYTES, type TunnelContext } from '../open-udp.js'
import { PeerNames } from '../peer-names.js'
import { portOptions } from '../port-options.js'
import type { Facts, Transport } from '../transport.js'
import { reportTunnelMtu, type TunnelMtu, tunnelMtu } from '../tunnel-mtu.js'
import { type PeerSettings, UDP, type UdpPeersOptions } from './options.js'

/** Throws OperatorError. */
export async function openUdpPeers(config: UdpPeersConfig, context: TunnelContext): Promise<UdpPeersTransport> {
  const listen = literalAddress(config.listen)
  const family = listen.ip.length === 4 ? 4 : 6
  const names = new PeerNames(context.os.layout, family, () => transport.peersChanged())
  let transport: UdpPeersTransport
  try {
    await names.set(config.peers)
    const { fragment } = config
    const options = { fragment, sendBytes: SOCKET_BUFFER_BYTES, receiveBytes: SOCKET_BUFFER_BYTES }
    const fd = openBoundUdp(context.os.layout, listen, options)
    const lanes = openLanes(context.os.layout, fd, 'address-and-port', options, hasOnePeer(config) ? 1 : MAX_LANES)
    transport = new UdpPeersTransport(config, context, names, fd, lanes)
  } catch (error) {
    names.close()
    throw error
  }
  transport.reportMtu()
  return transport
}

class UdpPeersTransport implements Transport<UdpPeersConfig> {
  config: UdpPeersConfig
  readonly where: string
  readonly #context: TunnelContext
  readonly #layout: Layout
  readonly #names: PeerNames
  readonly #fd: number
  readonly #lanes: readonly number[]
  readonly #family: 4 | 6
  #closed = false

  constructor(config: UdpPeersConfig, context: TunnelContext, names: PeerNames, fd: number, lanes: readonly number[]) {
    this.config = config
    this.#context = context
    this.#layout = context.os.layout
    this.#names = names
    this.#fd = fd
    this.#lanes = lanes
    const local = localAddress(this.#layout, fd) ?? literalAddress(config.listen)
    this.#family = local.ip.length === 4 ? 4 : 6
    this.where = formatInetAddress(local)
  }

  facts(): Facts {
    const { overhead, path, guest } = this.#mtu()
    return {
      listen: this.where,
      peers: this.#names.peers.map(({ address }) => formatInetAddress(address)),
      overheadBytes: overhead,
      pathMtu: path,
      guestMtu: guest,
    }
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    const options: UdpPeersOptions = {
      mode: 'peers',
      fd: this.#fd,
      lanes: this.#lanes,
      single: hasOnePeer(this.config),
      ...portOptions(this.config.port),
      ...this.#settings(),
    }
    return { name: this.config.name, kind: UDP, index, options }
  }

  message(): void {
    // The data plane's half has nothing to say but what its ports are.
  }

  /** A name for one port cannot become names for many. */
  canBecome(config: UdpConfig): boolean {
    return (
      config.role === 'peers' &&
      config.listen === this.config.listen &&
      config.fragment === this.config.fragment &&
      hasOnePeer(config) === hasOnePeer(this.config) &&
      JSON.stringify(config.port.fdb.static) === JSON.stringify(this.config.port.fdb.static)
    )
  }

  update(config: UdpConfig): void {
    if (config.role !== 'peers') return
    this.config = config
    this.#names
      .set(config.peers)
      .then(() => {
        if (!this.#closed && this.config === config) this.peersChanged()
      })
      .catch(error => {
        const message = `the peers are as they were: ${(error as Error).message}`
        this.#context.report({ level: 'error', event: 'peers-not-changed', message })
      })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#names.close()
    for (const fd of [this.#fd, ...this.#lanes]) closeSocket(fd)
  }

  peersChanged(): void {
    this.#context.send({ type: 'peers', ...this.#settings() })
  }

  reportMtu(): void {
    reportTunnelMtu(this.#context, this.#mtu())
  }

  #mtu(): TunnelMtu {
    const peers = this.#names.peers.map(({ address }) => address)
    return tunnelMtu(this.#layout, peers, this.#family, 0, this.config.port.maxFrameSize)
  }

  #settings(): PeerSettings {
    const { learnPeers, allowedSources, maxPeers, peerTimeoutSeconds } = this.config
    return {
      peers: this.#names.peers.map(({ key, raw }) => ({ key, address: raw })),
      learn: learnPeers
        ? {
            allowed: allowedSources.map(text => parseIpPrefix(text) as IpPrefix),
            maxPeers,
            timeoutMs: peerTimeoutSeconds * 1000,
          }
        : null,
    }
  }
}
