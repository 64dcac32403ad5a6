/** A real data plane in its own thread, with unixgram transports, and peers that are sockets of this test. */
import { unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { UnixgramConfig } from '#src/config/config.js'
import type { PortRecord } from '#src/dataplane/data-plane.js'
import type { Transport, TransportContext } from '#src/transports/transport.js'
import { openUnixgram } from '#src/transports/unixgram/transport.js'
import { vfktHandshake } from '../support/frames.js'
import { RawPeer } from '../support/raw-peer.js'
import { until } from '../support/until.js'
import { DataPlaneRig } from './data-plane-rig.js'
import type { Harness, RigOptions, Station } from './rig.js'

/** How the switch meets its peers: all on one path, a path for each, or connecting out to each. */
export type Role = 'many' | 'one' | 'connect'
/** How a peer behaves: bound and sending by path, or connected and shaking hands. */
export type PeerStyle = 'qemu' | 'vfkit'

export const unixgramHarness = (role: Role, style: PeerStyle): Harness => ({
  runts: [0, 1, 3, 13],
  start: async options => {
    const rig = new UnixgramRig(role, style, options)
    await rig.start()
    return rig
  },
})

export class UnixgramRig extends DataPlaneRig<UnixgramConfig> {
  readonly #role: Role
  readonly #style: PeerStyle
  readonly #peers = new Set<RawPeer>()

  constructor(role: Role, style: PeerStyle, options: RigOptions) {
    super(options)
    this.#role = role
    this.#style = style
  }

  override async start(): Promise<void> {
    await super.start()
    if (this.#role === 'many') await this.attach(this.#config('vms'))
  }

  /** The path a station's frames go to. */
  pathOf(number: number): string {
    return join(this.folder, this.#role === 'many' ? 'vms.sock' : `vm${number}.sock`)
  }

  peerPathOf(number: number): string {
    return join(this.folder, `peer${number}.sock`)
  }

  async join(number: number): Promise<Station> {
    const peer = this.#bind(number)
    const name = `vm${number}`
    if (this.#role !== 'many' && !this.transports.has(name)) await this.attach(this.#config(name))
    await this.#introduce(number, peer)
    return {
      send: frames => peer.send(frames),
      receive: count => peer.receiveMany(count),
      stall: () => {},
      resume: () => {},
      leave: () => this.#leave(peer),
    }
  }

  protected openTransport(config: UnixgramConfig, context: TransportContext): Promise<Transport<UnixgramConfig>> {
    return openUnixgram(config, context)
  }

  protected dismiss(): void {
    for (const peer of this.#peers) this.#leave(peer)
  }

  #bind(number: number): RawPeer {
    const target = this.#style === 'qemu' || this.#role === 'connect' ? { sendTo: this.pathOf(number) } : {}
    const wholeAddress = this.#style === 'qemu'
    const maxFrameSize = 2 * this.options.maxFrameSize
    const peer = RawPeer.bind(this.peerPathOf(number), { ...target, wholeAddress, maxFrameSize })
    this.#peers.add(peer)
    return peer
  }

  /** Sends until the switch knows the station, as a guest that asks for an address does. */
  async #introduce(number: number, peer: RawPeer): Promise<void> {
    const hello = this.hello(number)
    const known = this.records.get(number)
    const before = known === undefined ? 0 : this.helloes(known.index)
    let connected = this.#style === 'qemu'
    await until(() => {
      connected ||= peer.tryConnect(this.pathOf(number)) === null && peer.sendNow(vfktHandshake).error === null
      if (connected) peer.sendNow(hello)
      const port = this.#find(number)
      if (port === undefined || this.helloes(port.index) <= before) return false
      this.records.set(number, port)
      return true
    }, `station ${number} is up`)
    // What it said while nobody listened was for nobody.
    peer.receiveNow()
  }

  #find(number: number): PortRecord | undefined {
    const name = this.peerPathOf(number)
    return [...this.dataPlane.ports.values()].find(({ up, peer }) => up && peer === name)
  }

  #config(name: string): UnixgramConfig {
    const common = { type: 'unixgram', name, port: this.policy, permissions: 0o600, owner: null, group: null } as const
    const path = join(this.folder, `${name}.sock`)
    if (this.#role === 'connect') {
      const remote = this.peerPathOf(Number(name.slice(2)))
      return { ...common, role: 'connect', connect: { local: path, remote }, handshake: null }
    }
    return { ...common, role: 'listen', listen: path, peers: this.#role, maxPeers: this.#role === 'many' ? 16 : 1 }
  }

  #leave(peer: RawPeer): void {
    peer.close()
    this.#peers.delete(peer)
    unlinkSync(peer.path as string)
  }
}
