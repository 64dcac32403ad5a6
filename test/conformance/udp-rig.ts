/** A real data plane in its own thread, with udp transports, and peers that are sockets of this test on loopback. */
import assert from 'node:assert/strict'
import type { UdpConfig, UdpGroupConfig, UdpPeersConfig } from '#src/config/config.js'
import { DataPlane, type PortRecord } from '#src/dataplane/data-plane.js'
import type { Command } from '#src/dataplane/messages.js'
import type { EndpointDropReason, PortCounters } from '#src/dataplane/shared-memory.js'
import { createOs, type Os } from '#src/os/os.js'
import type { Transport } from '#src/transports/transport.js'
import { openUdp } from '#src/transports/udp/transport.js'
import { frame } from '../support/frames.js'
import { recordingLogger } from '../support/recording-logger.js'
import { freeUdpPort, UdpPeer } from '../support/udp-peer.js'
import { until } from '../support/until.js'
import { addressOf, type Harness, type Rig, type RigOptions, type Station } from './rig.js'

/** How the switch knows its peers: all learned, all configured, one configured on a socket each, a group each. */
export type UdpRole = 'learned' | 'configured' | 'single' | 'group'

const STATIONS = 3

export const udpHarness = (role: UdpRole, host: '127.0.0.1' | '::1' = '127.0.0.1'): Harness => ({
  runts: [0, 1, 3, 13],
  // Beyond that, a datagram may find no room at the receiver, and is lost.
  window: process.getuid?.() === 0 ? 128 : 8,
  backPressure: false,
  noticesDeparture: role === 'learned',
  start: async options => {
    const rig = new UdpRig(role, host, options)
    await rig.start()
    return rig
  },
})

export class UdpRig implements Rig {
  readonly dataPlane: DataPlane
  readonly log = recordingLogger()
  readonly #role: UdpRole
  readonly #host: string
  readonly #options: RigOptions
  readonly #os: Os = createOs()
  readonly #transports = new Map<string, Transport<UdpConfig>>()
  readonly #stationPorts: number[] = []
  readonly #peers = new Set<UdpPeer>()
  readonly #portOf = new Map<number, number>()

  constructor(role: UdpRole, host: string, options: RigOptions) {
    this.#role = role
    this.#host = host.includes(':') ? `[${host}]` : host
    this.#options = options
    const settings = {
      maxFrameSize: options.maxFrameSize,
      bufferBytes: 16 * 1024 * 1024,
      fdb: { ageingMs: 300_000, maxEntries: 1024, maxEntriesPerPort: 256, hashSeed: 0 },
    }
    this.dataPlane = new DataPlane(this.#os, settings, { maxPorts: 32, maxEndpoints: 16 }, this.log)
    for (let i = 0; i < STATIONS; i++) this.#stationPorts.push(freeUdpPort(host))
  }

  async start(): Promise<void> {
    await this.dataPlane.start()
    if (this.#role === 'learned')
      await this.attach(this.peersConfig({ learnPeers: true, allowedSources: this.#sources }))
    if (this.#role === 'configured')
      await this.attach(this.peersConfig({ peers: this.#stationPorts.map(port => `${this.#host}:${port}`) }))
  }

  async attach(config: UdpConfig): Promise<Transport<UdpConfig>> {
    const { name } = config
    const index = this.#transports.size
    const transport = await openUdp(config, {
      os: this.#os,
      send: message => {
        this.dataPlane.command({ type: 'endpoint', name, message }).catch(error => this.log.error(String(error)))
      },
      report: () => {},
    })
    this.#transports.set(name, transport)
    await this.dataPlane.attach(name, () => transport.spec(index) as never)
    return transport
  }

  /** With peers: how their datagrams reach the switch. */
  whereIs(name = 'udp'): string {
    return (this.#transports.get(name) as Transport<UdpConfig>).where
  }

  transport(name = 'udp'): Transport<UdpConfig> {
    return this.#transports.get(name) as Transport<UdpConfig>
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
      leave: () => this.#leave(peer),
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
    if (this.#role !== 'single') return UdpPeer.bind(local, { sendTo: this.whereIs(), maxFrameSize })
    if (!this.#transports.has(name)) await this.attach(this.peersConfig({ name, peers: [local] }))
    return UdpPeer.bind(local, { sendTo: this.whereIs(name), maxFrameSize })
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
    if (this.#role === 'group' || this.#role === 'single') return records.find(({ name }) => name === `vm${number}`)
    const known = records.find(({ index }) => index === this.#portOf.get(number))
    return known ?? records.find(({ peer: label }) => label === peer.address)
  }

  /** Nothing tells that it is gone but its silence, which is made short now. */
  #leave(peer: UdpPeer): void {
    peer.close()
    this.#peers.delete(peer)
    if (this.#role === 'learned')
      this.transport().update({ ...this.transport().config, peerTimeoutSeconds: 1 } as UdpPeersConfig)
  }
}
