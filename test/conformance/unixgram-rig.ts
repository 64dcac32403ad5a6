/** A real data plane in its own thread, with unixgram transports, and peers that are sockets of this test. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { UnixgramConfig } from '#src/config/config.js'
import { DataPlane, type PortRecord } from '#src/dataplane/data-plane.js'
import type { Command } from '#src/dataplane/messages.js'
import type { PortCounters } from '#src/dataplane/shared-memory.js'
import { createOs, type Os } from '#src/os/os.js'
import { UnixgramTransport } from '#src/transports/unixgram/transport.js'
import { frame, vfktHandshake } from '../support/frames.js'
import { RawPeer } from '../support/raw-peer.js'
import { recordingLogger } from '../support/recording-logger.js'
import { until } from '../support/until.js'
import { addressOf, type Harness, type Rig, type RigOptions, type Station } from './rig.js'

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

export class UnixgramRig implements Rig {
  readonly folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
  readonly dataPlane: DataPlane
  readonly log = recordingLogger()
  readonly #role: Role
  readonly #style: PeerStyle
  readonly #options: RigOptions
  readonly #os: Os = createOs()
  readonly #transports = new Map<string, UnixgramTransport>()
  readonly #peers = new Set<RawPeer>()
  readonly #portOf = new Map<number, number>()

  constructor(role: Role, style: PeerStyle, options: RigOptions) {
    this.#role = role
    this.#style = style
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
  }

  async start(): Promise<void> {
    await this.dataPlane.start()
    if (this.#role === 'many') await this.#attach('vms')
  }

  /** The path a station's frames go to. */
  pathOf(number: number): string {
    return join(this.folder, this.#role === 'many' ? 'vms.sock' : `vm${number}.sock`)
  }

  peerPathOf(number: number): string {
    return join(this.folder, `peer${number}.sock`)
  }

  drops(transport: string): Record<string, number> {
    return this.dataPlane.counters.readEndpoint([...this.#transports.keys()].indexOf(transport))
  }

  async join(number: number): Promise<Station> {
    const peer = this.#bind(number)
    if (this.#role !== 'many' && !this.#transports.has(`vm${number}`)) await this.#attach(`vm${number}`)
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
    for (const transport of this.#transports.values()) transport.close()
    for (const peer of this.#peers) this.#leave(peer)
    const left = readdirSync(this.folder)
    rmSync(this.folder, { recursive: true })
    return left
  }

  #bind(number: number): RawPeer {
    const target = this.#style === 'qemu' || this.#role === 'connect' ? { sendTo: this.pathOf(number) } : {}
    const wholeAddress = this.#style === 'qemu'
    const maxFrameSize = 2 * this.#options.maxFrameSize
    const peer = RawPeer.bind(this.peerPathOf(number), { ...target, wholeAddress, maxFrameSize })
    this.#peers.add(peer)
    return peer
  }

  /** Sends until the switch knows the station, as a guest that asks for an address does. */
  async #introduce(number: number, peer: RawPeer): Promise<void> {
    const hello = frame(addressOf(number), addressOf(number))
    const known = this.#portOf.get(number)
    const helloes = known === undefined ? 0 : this.#helloes(known)
    let connected = this.#style === 'qemu'
    await until(() => {
      connected ||= peer.tryConnect(this.pathOf(number)) === null && peer.sendNow(vfktHandshake).error === null
      if (connected) peer.sendNow(hello)
      const port = this.#find(number)
      return port !== undefined && this.#helloes(port.index) > helloes
    }, `station ${number} is up`)
    this.#portOf.set(number, (this.#find(number) as PortRecord).index)
    // What it said while nobody listened was for nobody.
    peer.receiveNow()
  }

  /** A frame to oneself goes nowhere, under this reason. */
  #helloes(index: number): number {
    return this.dataPlane.counters.readPort(index).receiveDrops['same-port']
  }

  #find(number: number): PortRecord | undefined {
    const name = this.peerPathOf(number)
    return [...this.dataPlane.ports.values()].find(({ up, peer }) => up && peer === name)
  }

  async #attach(name: string): Promise<void> {
    const index = this.#transports.size
    const transport = new UnixgramTransport(this.#config(name), this.#os.layout, this.log, message => {
      this.dataPlane.command({ type: 'endpoint', name, message }).catch(error => this.log.error(String(error)))
    })
    this.#transports.set(name, transport)
    await this.dataPlane.attach(name, () => transport.spec(index))
  }

  #config(name: string): UnixgramConfig {
    const { maxFrameSize, queueFrames } = this.#options
    const port = { maxFrameSize, isolated: false, queueFrames, fdb: { maxEntries: 0, static: [] } }
    const common = { type: 'unixgram', name, port, permissions: 0o600, owner: null, group: null } as const
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
