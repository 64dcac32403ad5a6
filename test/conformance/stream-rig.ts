/** A real data plane in its own thread, with stream transports, and peers that are sockets of this test. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StreamConfig } from '#src/config/config.js'
import { DataPlane, type PortRecord } from '#src/dataplane/data-plane.js'
import type { Command, EndpointMessage } from '#src/dataplane/messages.js'
import type { PortCounters } from '#src/dataplane/shared-memory.js'
import { createOs, type Os } from '#src/os/os.js'
import type { FramingName } from '#src/transports/stream/framing.js'
import { openStreamTransport } from '#src/transports/stream/open.js'
import type { Transport, TransportEvent } from '#src/transports/transport.js'
import { frame } from '../support/frames.js'
import { recordingLogger } from '../support/recording-logger.js'
import { StreamPeer, StreamServer } from '../support/stream-peer.js'
import { until } from '../support/until.js'
import { addressOf, type Harness, type Rig, type RigOptions, type Station } from './rig.js'

/** How the switch meets its peers: all at one address, an address for each, or connecting out to each. */
export type Role = 'many' | 'one' | 'connect'
export type Family = 'unix' | 'tcp4' | 'tcp6'

export const streamHarness = (role: Role, family: Family, framing: FramingName = 'qemu'): Harness => ({
  // A length of 0 is no length; test/unit/transports/stream shows what becomes of it.
  runts: [1, 3, 13],
  keepsPort: role !== 'many',
  start: async options => {
    const rig = new StreamRig(role, family, framing, options)
    await rig.start()
    return rig
  },
})

interface Joined {
  peer: StreamPeer
  server: StreamServer | null
}

export class StreamRig implements Rig {
  readonly folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
  readonly dataPlane: DataPlane
  readonly log = recordingLogger()
  readonly reports: TransportEvent[] = []
  readonly #role: Role
  readonly #family: Family
  readonly #framing: FramingName
  readonly #options: RigOptions
  readonly #os: Os = createOs()
  readonly #transports = new Map<string, Transport<StreamConfig>>()
  readonly #joined = new Map<number, Joined>()
  readonly #records = new Map<number, PortRecord>()
  readonly #tcpPorts = new Map<number, number>()

  constructor(role: Role, family: Family, framing: FramingName, options: RigOptions) {
    this.#role = role
    this.#family = family
    this.#framing = framing
    this.#options = options
    const settings = {
      maxFrameSize: options.maxFrameSize,
      bufferBytes: 16 * 1024 * 1024,
      fdb: { ageingMs: 300_000, maxEntries: 1024, maxEntriesPerPort: 256, hashSeed: 0 },
    }
    this.dataPlane = new DataPlane(this.#os, settings, { maxPorts: 128, maxEndpoints: 16 }, this.log)
    this.dataPlane.on('event', event => {
      if (event.type === 'endpoint') this.#transports.get(event.name)?.message(event.message)
      if (event.type !== 'port-removed') return
      const record = this.dataPlane.ports.get(event.index)
      if (record !== undefined) record.up = false
    })
  }

  async start(): Promise<void> {
    await this.dataPlane.start()
    if (this.#role === 'many') await this.#attach('vms', 'vms.sock')
  }

  drops(transport = 'vms'): Record<string, number> {
    return this.dataPlane.counters.readEndpoint([...this.#transports.keys()].indexOf(transport))
  }

  /** A connection that says nothing yet. */
  connect(number = 0): Promise<StreamPeer> {
    const where = this.#transports.get(this.#nameOf(number))?.where as string
    const to = this.#family === 'unix' ? { path: where } : tcpOf(where)
    return StreamPeer.connect(to, this.#framing)
  }

  async join(number: number): Promise<Station> {
    const name = this.#nameOf(number)
    if (this.#role === 'connect') {
      const server = await this.#serve(number)
      if (!this.#transports.has(name)) await this.#attach(name, this.#remoteOf(number, server))
      this.#joined.set(number, { peer: await server.accept(this.#framing, 20_000), server })
    } else {
      if (this.#role === 'one' && !this.#transports.has(name)) await this.#attach(name, `vm${number}.sock`)
      this.#joined.set(number, { peer: await this.connect(number), server: null })
    }
    return this.#introduce(number)
  }

  port(number: number): PortRecord {
    const record = this.#records.get(number)
    assert.ok(record, `station ${number} never joined`)
    return record
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
    for (const number of [...this.#joined.keys()]) this.#leave(number)
    await new Promise(resolve => setImmediate(resolve))
    const left = readdirSync(this.folder)
    rmSync(this.folder, { recursive: true })
    return left
  }

  /** Sends until the switch knows the station. */
  async #introduce(number: number): Promise<Station> {
    const { peer } = this.#joined.get(number) as Joined
    const hello = frame(addressOf(number), addressOf(number))
    // By id: an index is used again.
    const before = new Map([...this.dataPlane.ports.values()].map(({ id, index }) => [id, this.#helloes(index)]))
    await peer.send([hello])
    const found = () =>
      [...this.dataPlane.ports.values()].find(({ id, index, up }) => up && this.#helloes(index) > (before.get(id) ?? 0))
    await until(() => found() !== undefined, `station ${number} is up`)
    this.#records.set(number, found() as PortRecord)
    peer.receiveNow()
    return {
      send: frames => peer.send(frames),
      receive: count => peer.receive(count),
      stall: () => peer.stall(),
      resume: () => peer.resume(),
      leave: () => this.#leave(number),
    }
  }

  /** A frame to oneself goes nowhere, under this reason. */
  #helloes(index: number): number {
    return this.dataPlane.counters.readPort(index).receiveDrops['same-port']
  }

  async #attach(name: string, where: string): Promise<void> {
    const index = this.#transports.size
    const context = {
      os: this.#os,
      send: (message: EndpointMessage) => {
        this.dataPlane.command({ type: 'endpoint', name, message }).catch(error => this.log.error(String(error)))
      },
      report: (event: TransportEvent) => void this.reports.push(event),
    }
    const transport = await openStreamTransport(this.#config(name, where), context)
    this.#transports.set(name, transport)
    await this.dataPlane.attach(name, () => transport.spec(index) as NonNullable<ReturnType<typeof transport.spec>>)
  }

  #config(name: string, where: string): StreamConfig {
    const { maxFrameSize, queueFrames } = this.#options
    const port = { maxFrameSize, isolated: false, queueFrames, fdb: { maxEntries: 0, static: [] } }
    const common = { type: 'stream', name, port, framing: this.#framing, keepAliveSeconds: 15 } as const
    if (this.#role === 'connect') return { ...common, role: 'connect', connect: where }
    const host = this.#family === 'tcp4' ? '127.0.0.1:0' : '[::1]:0'
    return {
      ...common,
      role: 'listen',
      listen: this.#family === 'unix' ? join(this.folder, where) : host,
      peers: this.#role,
      maxPeers: this.#role === 'many' ? 16 : 1,
      allowRemote: false,
      permissions: 0o600,
      owner: null,
      group: null,
    }
  }

  async #serve(number: number): Promise<StreamServer> {
    if (this.#family === 'unix') return StreamServer.listen({ path: join(this.folder, `peer${number}.sock`) })
    const host = this.#family === 'tcp4' ? '127.0.0.1' : '::1'
    const server = await StreamServer.listen({ host, port: this.#tcpPorts.get(number) ?? 0 })
    this.#tcpPorts.set(number, server.port)
    return server
  }

  #remoteOf(number: number, server: StreamServer): string {
    if (this.#family === 'unix') return join(this.folder, `peer${number}.sock`)
    return this.#family === 'tcp4' ? `127.0.0.1:${server.port}` : `[::1]:${server.port}`
  }

  #nameOf(number: number): string {
    return this.#role === 'many' ? 'vms' : `vm${number}`
  }

  #leave(number: number): void {
    const joined = this.#joined.get(number)
    this.#joined.delete(number)
    joined?.server?.close()
    joined?.peer.leave()
  }
}

function tcpOf(where: string): { host: string; port: number } {
  const match = /^\[?(.*?)\]?:(\d+)$/.exec(where) as RegExpExecArray
  return { host: match[1] as string, port: Number(match[2]) }
}
