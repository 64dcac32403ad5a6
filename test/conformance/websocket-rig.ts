/** A real data plane in its own thread, with WebSocket transports, and peers that are WebSockets of this test. */
import assert from 'node:assert/strict'
import type { TokenConfig, WebSocketConfig, WebSocketConnectConfig, WebSocketListenConfig } from '#src/config/config.js'
import { DataPlane, type PortRecord } from '#src/dataplane/data-plane.js'
import type { Command } from '#src/dataplane/messages.js'
import type { EndpointDropReason, PortCounters } from '#src/dataplane/shared-memory.js'
import { type HttpServer, startHttp } from '#src/http/server.js'
import { createOs, type Os } from '#src/os/os.js'
import type { Transport, TransportEvent } from '#src/transports/transport.js'
import { openWebSocket } from '#src/transports/websocket/transport.js'
import { UpgradeRoutes } from '#src/upgrade-routes.js'
import { frame } from '../support/frames.js'
import { recordingLogger } from '../support/recording-logger.js'
import { until } from '../support/until.js'
import { RelayServer, WebSocketPeer } from '../support/websocket-peer.js'
import { fakeView, partsOf } from '../unit/http/fake-view.js'
import { addressOf, type Harness, type Rig, type RigOptions, type Station } from './rig.js'

/** How the switch meets its peers: on the HTTP server, on a listener of its own, or by dialling each. */
export type Role = 'http' | 'own' | 'connect'

export const webSocketHarness = (role: Role): Harness => ({
  // An empty message is no frame; test/unit/transports/websocket shows what becomes of it.
  runts: [1, 3, 13],
  keepsPort: role === 'connect',
  start: async options => {
    const rig = new WebSocketRig(role, options)
    await rig.start()
    return rig
  },
})

interface Joined {
  peer: WebSocketPeer
  relay: RelayServer | null
}

export class WebSocketRig implements Rig {
  readonly dataPlane: DataPlane
  readonly log = recordingLogger()
  readonly reports: TransportEvent[] = []
  readonly upgrades: UpgradeRoutes
  readonly #role: Role
  readonly #options: RigOptions
  readonly #name: string
  readonly #os: Os = createOs()
  readonly #transports = new Map<string, Transport<WebSocketConfig>>()
  readonly #joined = new Map<number, Joined>()
  readonly #records = new Map<number, PortRecord>()
  readonly #relayPorts = new Map<number, number>()
  #http: HttpServer | null = null

  /** `upgrades`: shared by rigs that are to be one switch. */
  constructor(role: Role, options: RigOptions, { name = 'lab', upgrades = new UpgradeRoutes() } = {}) {
    this.#role = role
    this.#options = options
    this.#name = name
    this.upgrades = upgrades
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

  /** `tokens`: of the HTTP server's API. */
  async start(options: Partial<WebSocketListenConfig> = {}, tokens: readonly TokenConfig[] = []): Promise<void> {
    await this.dataPlane.start()
    if (this.#role === 'connect') return
    if (this.#role === 'http') await this.#startHttp(tokens)
    await this.attach(this.listenConfig(options))
  }

  /** Where clients connect to. */
  get url(): string {
    if (this.#http !== null) return `${this.#http.url.replace('http', 'ws')}${this.transport().where}`
    return this.transport().where
  }

  transport(name = 'web'): Transport<WebSocketConfig> {
    return this.#transports.get(name) as Transport<WebSocketConfig>
  }

  drops(name = 'web'): Record<EndpointDropReason, number> {
    return this.dataPlane.counters.readEndpoint([...this.#transports.keys()].indexOf(name))
  }

  async attach(config: WebSocketConfig): Promise<Transport<WebSocketConfig>> {
    const { name } = config
    const index = this.#transports.size
    const transport = await openWebSocket(config, {
      os: this.#os,
      log: this.log,
      runtimeDir: '/nowhere',
      upgrades: this.upgrades,
      switchName: () => this.#name,
      send: message => {
        this.dataPlane.command({ type: 'endpoint', name, message }).catch(error => this.log.error(String(error)))
      },
      report: event => void this.reports.push(event),
    })
    this.#transports.set(name, transport)
    await this.dataPlane.attach(name, () => transport.spec(index) as NonNullable<ReturnType<typeof transport.spec>>)
    return transport
  }

  listenConfig(options: Partial<WebSocketListenConfig> = {}): WebSocketListenConfig {
    return {
      ...this.#common('web'),
      role: 'listen',
      path: '/ethernet',
      address: this.#role === 'own' ? { host: '127.0.0.1', port: 0 } : null,
      tls: null,
      allowedOrigins: [],
      maxPeers: 64,
      maxPeersPerAddress: 64,
      ...options,
    }
  }

  connectConfig(name: string, url: string, options: Partial<WebSocketConnectConfig> = {}): WebSocketConnectConfig {
    return { ...this.#common(name), role: 'connect', connect: url, ca: null, ...options }
  }

  async join(number: number): Promise<Station> {
    if (this.#role === 'connect') {
      const name = `vm${number}`
      const relay = await RelayServer.listen(this.#relayPorts.get(number) ?? 0)
      this.#relayPorts.set(number, relay.port)
      if (!this.#transports.has(name)) await this.attach(this.connectConfig(name, `ws://127.0.0.1:${relay.port}/relay`))
      this.#joined.set(number, { peer: await relay.accept(), relay })
    } else {
      this.#joined.set(number, { peer: await WebSocketPeer.connect(this.url), relay: null })
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
    const { restarts } = dataPlane
    await dataPlane.command({ type: 'nonsense' } as unknown as Command)
    await until(() => dataPlane.restarts === restarts + 1 && dataPlane.trouble() === undefined, 'a new data plane runs')
  }

  async stop(): Promise<string[]> {
    await this.dataPlane.stop()
    for (const transport of this.#transports.values()) await transport.close()
    await this.#http?.close()
    for (const number of [...this.#joined.keys()]) await this.#leave(number)
    return []
  }

  async #startHttp(tokens: readonly TokenConfig[]): Promise<void> {
    const config = {
      listen: '127.0.0.1:0',
      permissions: 0o600,
      owner: null,
      group: null,
      tokens,
      allowedHosts: [],
      tls: null,
    }
    this.#http = await startHttp({ ...partsOf(fakeView()), config, log: this.log, upgrades: this.upgrades })
  }

  #common(name: string) {
    const { maxFrameSize, queueFrames } = this.#options
    const port = { maxFrameSize, isolated: false, queueFrames, fdb: { maxEntries: 0, static: [] } }
    return {
      type: 'websocket',
      name,
      port,
      token: null,
      pingSeconds: 30,
      idleSeconds: 100,
      textPings: false,
    } as const
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
      stall: () => peer.ws.pause(),
      resume: () => peer.ws.resume(),
      leave: () => void this.#leave(number),
    }
  }

  /** A frame to oneself goes nowhere, under this reason. */
  #helloes(index: number): number {
    return this.dataPlane.counters.readPort(index).receiveDrops['same-port']
  }

  async #leave(number: number): Promise<void> {
    const joined = this.#joined.get(number)
    this.#joined.delete(number)
    joined?.peer.leave()
    await joined?.relay?.close()
  }
}
