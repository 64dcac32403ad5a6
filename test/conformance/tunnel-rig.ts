/** A real data plane in its own thread, with udp or vxlan transports, and peers that are sockets of this test on loopback. */
import assert from 'node:assert/strict'
import type { UdpConfig, UdpGroupConfig, UdpPeersConfig, VxlanConfig } from '#src/config/config.js'
import { DataPlane, type PortRecord } from '#src/dataplane/data-plane.js'
import type { Command, EndpointMessage } from '#src/dataplane/messages.js'
import type { EndpointDropReason, PortCounters } from '#src/dataplane/shared-memory.js'
import { createOs, type Os } from '#src/os/os.js'
import type { Transport } from '#src/transports/transport.js'
import { openUdp } from '#src/transports/udp/transport.js'
import { openVxlan } from '#src/transports/vxlan/transport.js'
import { vxlanHeader } from '#src/wire/vxlan.js'
import { frame } from '../support/frames.js'
import { recordingLogger } from '../support/recording-logger.js'
import { freeUdpPort, UdpPeer } from '../support/udp-peer.js'
import { until } from '../support/until.js'
import { addressOf, type Harness, type Rig, type RigOptions, type Station } from './rig.js'

type TunnelConfig = UdpConfig | VxlanConfig

/**
 * How the switch knows its peers. UDP: all learned, all configured, one configured on a socket each, a group each. VXLAN: a network
 * for each on one socket, with a configured remote or a learned one.
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

export class TunnelRig implements Rig {
  readonly dataPlane: DataPlane
  readonly log = recordingLogger()
  readonly #role: TunnelRole
  readonly #host: string
  readonly #options: RigOptions
  readonly #os: Os = createOs()
  readonly #transports = new Map<string, Transport<TunnelConfig>>()
  readonly #stationPorts: number[] = []
  readonly #vtepPort: number
  readonly #peers = new Set<UdpPeer>()
  readonly #portOf = new Map<number, number>()

  constructor(role: TunnelRole, host: string, options: RigOptions) {
    this.#role = role
    this.#host = host.includes(':') ? `[${host}]` : host
    this.#options = options
    const settings = {
      maxFrameSize: options.maxFrameSize,
      bufferBytes: 16 * 1024 * 1024,
      fdb: { ageingMs: 300_000, maxEntries: 1024, maxEntriesPerPort: 256, hashSeed: 0 },
    }
    this.dataPlane = new DataPlane(this.#os, settings, { maxPorts: 32, maxEndpoints: 16 }, this.log)
    this.dataPlane.on('event', event => {
      if (event.type === 'endpoint') this.#transports.get(event.name)?.message(event.message)
    })
    this.#vtepPort = freeUdpPort(host)
    for (let i = 0; i < STATIONS; i++) this.#stationPorts.push(freeUdpPort(host))
  }

  async start(): Promise<void> {
    await this.dataPlane.start()
    if (this.#role === 'learned')
      await this.attach(this.peersConfig({ learnPeers: true, allowedSources: this.#sources }))
    if (this.#role === 'configured')
      await this.attach(this.peersConfig({ peers: this.#stationPorts.map(port => `${this.#host}:${port}`) }))
  }

  async attach(config: TunnelConfig): Promise<Transport<TunnelConfig>> {
    const { name } = config
    const index = this.#transports.size
    const context = {
      os: this.#os,
      send: (message: EndpointMessage) => {
        this.dataPlane.command({ type: 'endpoint', name, message }).catch(error => this.log.error(String(error)))
      },
      report: () => {},
    }
    const transport: Transport<TunnelConfig> = await (config.type === 'udp'
      ? openUdp(config, context)
      : openVxlan(config, context))
    this.#transports.set(name, transport)
    await this.dataPlane.attach(name, () => transport.spec(index) as never)
    return transport
  }

  /** With peers: how their datagrams reach the switch. */
  whereIs(name = 'udp'): string {
    return (this.#transports.get(name) as Transport<TunnelConfig>).where
  }

  transport(name = 'udp'): Transport<TunnelConfig> {
    return this.#transports.get(name) as Transport<TunnelConfig>
  }

  /** Datagrams that no port counts, by reason. */
  drops(index = 0): Record<EndpointDropReason, number> {
    return this.dataPlane.counters.readEndpoint(index)
  }

  peersConfig(options: Partial<UdpPeersConfig> = {}): UdpPeersConfig {
    return {
      type: 'udp',
      role: 'peers',
      name: 'udp',
      port: this.#policy,
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
      port: this.#policy,
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
      port: this.#policy,
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

  port(number: number): PortRecord {
    const port = this.dataPlane.ports.get(this.#portOf.get(number) ?? -1)
    assert.ok(port, `station ${number} never joined`)
    return port
  }

  counters(number: number): PortCounters {
    return this.dataPlane.counters.readPort(this.port(number).index)
  }

  until(what: string, condition: () => boolean): Promise<void> {
    return until(condition, what)
  }

  async replace(how: 'planned' | 'crash'): Promise<void> {
    const { dataPlane } = this
    if (how === 'planned') return dataPlane.replace({ ...dataPlane.settings, bufferBytes: 8 * 1024 * 1024 })
    const restarts = dataPlane.restarts
    await dataPlane.command({ type: 'nonsense' } as unknown as Command)
    await until(() => dataPlane.restarts === restarts + 1 && dataPlane.trouble() === undefined, 'a new data plane runs')
  }

  async stop(): Promise<string[]> {
    await this.dataPlane.stop()
    for (const transport of this.#transports.values()) await transport.close()
    for (const peer of this.#peers) peer.close()
    return []
  }

  get #policy() {
    const { maxFrameSize, queueFrames } = this.#options
    return { maxFrameSize, isolated: false, queueFrames, fdb: { maxEntries: 256, static: [] } }
  }

  get #sources(): string[] {
    return [this.#host.includes(':') ? '::1' : '127.0.0.0/8']
  }

  async #bind(number: number): Promise<UdpPeer> {
    const maxFrameSize = 2 * this.#options.maxFrameSize
    const port = this.#stationPorts[number]
    const local = `${this.#host}:${port}`
    const name = `vm${number}`
    if (this.#role === 'group') {
      const group = `239.255.77.${number + 1}:${port}`
      if (!this.#transports.has(name)) await this.attach(this.groupConfig({ name, group }))
      return UdpPeer.join(group, '127.0.0.1', { maxFrameSize, ignore: `127.0.0.1:${port}` })
    }
    if (this.#role === 'vxlan' || this.#role === 'vxlan-learned') return this.#bindVtep(number, name, maxFrameSize)
    if (this.#role !== 'single') return UdpPeer.bind(local, { sendTo: this.whereIs(), maxFrameSize })
    if (!this.#transports.has(name)) await this.attach(this.peersConfig({ name, peers: [local] }))
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
    if (!this.#transports.has(name)) {
      const remotes = learned ? { learnRemotes: true, allowedSources: ['127.0.0.0/8'] } : { remotes: [local] }
      await this.attach(this.vxlanConfig({ name, vni, ...remotes }))
    }
    return UdpPeer.bind(local, { sendTo: this.vtep, maxFrameSize: maxFrameSize + 64, header: vxlanHeader(vni) })
  }

  /** Sends until the switch knows the station, as a guest that asks for an address does. */
  async #introduce(number: number, peer: UdpPeer): Promise<void> {
    const hello = frame(addressOf(number), addressOf(number))
    const helloes = (index: number) => this.dataPlane.counters.readPort(index).receiveDrops['same-port']
    const before = this.#find(number, peer)
    const known = before === undefined ? 0 : helloes(before.index)
    await until(() => {
      peer.sendNow(hello)
      const port = this.#find(number, peer)
      return port?.up === true && helloes(port.index) > known
    }, `station ${number} is up`)
    this.#portOf.set(number, (this.#find(number, peer) as PortRecord).index)
    // A group gives its members what they send themselves.
    peer.receiveNow()
  }

  #find(number: number, peer: UdpPeer): PortRecord | undefined {
    const records = [...this.dataPlane.ports.values()]
    if (this.#role !== 'learned' && this.#role !== 'configured')
      return records.find(({ name }) => name === `vm${number}`)
    const known = records.find(({ index }) => index === this.#portOf.get(number))
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
