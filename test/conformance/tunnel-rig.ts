/**
 * A real data plane in its own thread, with udp or vxlan transports, and peers that are sockets of this test on
 * loopback.
 */
import type { UdpConfig, UdpGroupConfig, UdpPeersConfig, VxlanConfig } from '#src/config/config.js'
import type { PortRecord } from '#src/dataplane/data-plane.js'
import type { Transport, TransportContext } from '#src/transports/transport.js'
import { openUdp } from '#src/transports/udp/transport.js'
import { openVxlan } from '#src/transports/vxlan/transport.js'
import { vxlanHeader } from '#src/wire/vxlan.js'
import { freeUdpPort, UdpPeer } from '../support/udp-peer.js'
import { until } from '../support/until.js'
import { DataPlaneRig } from './data-plane-rig.js'
import type { Harness, RigOptions, Station } from './rig.js'

type TunnelConfig = UdpConfig | VxlanConfig

/**
 * How the switch knows its peers. UDP: all learned, all configured, one configured on a socket each, a group each.
 * VXLAN: a network for each on one socket, with a configured remote or a learned one.
 */
export type TunnelRole = 'learned' | 'configured' | 'single' | 'group' | 'vxlan' | 'vxlan-learned'

const STATIONS = 3

export const tunnelHarness = (role: TunnelRole, host: '127.0.0.1' | '::1' = '127.0.0.1'): Harness => ({
  runts: [0, 1, 3, 13],
  // Beyond that, a datagram may find no room at the receiver, and is lost.
  window: process.getuid?.() === 0 ? 128 : 8,
  backPressure: false,
  noticesDeparture: role === 'learned' || role === 'vxlan-learned',
  start: async options => {
    const rig = new TunnelRig(role, host, options)
    await rig.start()
    return rig
  },
})

export class TunnelRig extends DataPlaneRig<TunnelConfig> {
  readonly #role: TunnelRole
  readonly #host: string
  readonly #stationPorts: number[] = []
  readonly #vtepPort: number
  readonly #peers = new Set<UdpPeer>()

  constructor(role: TunnelRole, host: string, options: RigOptions) {
    super(options)
    this.#role = role
    this.#host = host.includes(':') ? `[${host}]` : host
    this.#vtepPort = freeUdpPort(host)
    for (let i = 0; i < STATIONS; i++) this.#stationPorts.push(freeUdpPort(host))
  }

  override async start(): Promise<void> {
    await super.start()
    if (this.#role === 'learned')
      await this.attach(this.peersConfig({ learnPeers: true, allowedSources: this.#sources }))
    if (this.#role === 'configured')
      await this.attach(this.peersConfig({ peers: this.#stationPorts.map(port => `${this.#host}:${port}`) }))
  }

  protected openTransport(config: TunnelConfig, context: TransportContext): Promise<Transport<TunnelConfig>> {
    return config.type === 'udp' ? openUdp(config, context) : openVxlan(config, context)
  }

  /** With peers: how their datagrams reach the switch. */
  whereIs(name = 'udp'): string {
    return this.transport(name).where
  }

  override transport(name = 'udp'): Transport<TunnelConfig> {
    return super.transport(name)
  }

  peersConfig(options: Partial<UdpPeersConfig> = {}): UdpPeersConfig {
    return {
      type: 'udp',
      role: 'peers',
      name: 'udp',
      port: this.policy,
      fragment: false,
      listen: `${this.#host}:0`,
      peers: [],
      learnPeers: false,
      allowedSources: [],
      maxPeers: 16,
      peerTimeoutSeconds: 300,
      ...options,
    }
  }

  vxlanConfig(options: Partial<VxlanConfig> = {}): VxlanConfig {
    return {
      type: 'vxlan',
      name: 'fabric',
      port: this.policy,
      fragment: false,
      vni: 42,
      listen: `${this.#host}:${this.#vtepPort}`,
      remotes: [],
      learnRemotes: false,
      allowedSources: [],
      maxRemotes: 16,
      remoteTimeoutSeconds: 300,
      ageingSeconds: 300,
      sourcePorts: 2,
      ...options,
    }
  }

  groupConfig(options: Partial<UdpGroupConfig> = {}): UdpGroupConfig {
    return {
      type: 'udp',
      role: 'group',
      name: 'group',
      port: this.policy,
      fragment: false,
      group: '239.255.77.1:7000',
      interface: '127.0.0.1',
      ttl: 0,
      loop: true,
      ...options,
    }
  }

  async join(number: number): Promise<Station> {
    const peer = await this.#bind(number)
    this.#peers.add(peer)
    await this.#introduce(number, peer)
    return {
      send: frames => peer.send(frames),
      receive: count => peer.receiveMany(count),
      stall: () => {},
      resume: () => {},
      leave: () => this.#leave(peer, number),
    }
  }

  protected dismiss(): void {
    for (const peer of this.#peers) peer.close()
  }

  protected override get policy() {
    return { ...super.policy, fdb: { maxEntries: 256, static: [] } }
  }

  get #sources(): string[] {
    return [this.#host.includes(':') ? '::1' : '127.0.0.0/8']
  }

  async #bind(number: number): Promise<UdpPeer> {
    const maxFrameSize = 2 * this.options.maxFrameSize
    const port = this.#stationPorts[number]
    const local = `${this.#host}:${port}`
    const name = `vm${number}`
    if (this.#role === 'group') {
      const group = `239.255.77.${number + 1}:${port}`
      if (!this.transports.has(name)) await this.attach(this.groupConfig({ name, group }))
      return UdpPeer.join(group, '127.0.0.1', { maxFrameSize, ignore: `127.0.0.1:${port}` })
    }
    if (this.#role === 'vxlan' || this.#role === 'vxlan-learned') return this.#bindVtep(number, name, maxFrameSize)
    if (this.#role !== 'single') return UdpPeer.bind(local, { sendTo: this.whereIs(), maxFrameSize })
    if (!this.transports.has(name)) await this.attach(this.peersConfig({ name, peers: [local] }))
    return UdpPeer.bind(local, { sendTo: this.whereIs(name), maxFrameSize })
  }

  /** Where datagrams for this switch's VTEP go. */
  get vtep(): string {
    return `${this.#host}:${this.#vtepPort}`
  }

  async #bindVtep(number: number, name: string, maxFrameSize: number): Promise<UdpPeer> {
    const vni = 100 + number
    const learned = this.#role === 'vxlan-learned'
    // What is learned is answered at the fabric's port, so it needs an address of its own.
    const local = learned ? `127.0.0.${number + 2}:${this.#vtepPort}` : `${this.#host}:${this.#stationPorts[number]}`
    if (!this.transports.has(name)) {
      const remotes = learned ? { learnRemotes: true, allowedSources: ['127.0.0.0/8'] } : { remotes: [local] }
      await this.attach(this.vxlanConfig({ name, vni, ...remotes }))
    }
    return UdpPeer.bind(local, { sendTo: this.vtep, maxFrameSize: maxFrameSize + 64, header: vxlanHeader(vni) })
  }

  /** Sends until the switch knows the station, as a guest that asks for an address does. */
  async #introduce(number: number, peer: UdpPeer): Promise<void> {
    const hello = this.hello(number)
    const known = this.#find(number, peer)
    const before = known === undefined ? 0 : this.helloes(known.index)
    await until(() => {
      peer.sendNow(hello)
      const port = this.#find(number, peer)
      if (port?.up !== true || this.helloes(port.index) <= before) return false
      this.records.set(number, port)
      return true
    }, `station ${number} is up`)
    // A group gives its members what they send themselves.
    peer.receiveNow()
  }

  #find(number: number, peer: UdpPeer): PortRecord | undefined {
    const records = [...this.dataPlane.ports.values()]
    if (this.#role !== 'learned' && this.#role !== 'configured')
      return records.find(({ name }) => name === `vm${number}`)
    const known = records.find(({ id }) => id === this.records.get(number)?.id)
    return known ?? records.find(({ peer: label }) => label === peer.address)
  }

  /** Nothing tells that it is gone but its silence, which is made short now. */
  #leave(peer: UdpPeer, number: number): void {
    peer.close()
    this.#peers.delete(peer)
    if (this.#role === 'learned') {
      const transport = this.transport()
      transport.update({ ...transport.config, peerTimeoutSeconds: 1 } as UdpPeersConfig)
    }
    if (this.#role === 'vxlan-learned') {
      const transport = this.transport(`vm${number}`)
      transport.update({ ...transport.config, remoteTimeoutSeconds: 1 } as VxlanConfig)
    }
  }
}
