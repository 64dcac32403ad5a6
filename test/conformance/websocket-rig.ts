/** A real data plane in its own thread, with WebSocket transports, and peers that are WebSockets of this test. */
import type { TokenConfig, WebSocketConfig, WebSocketConnectConfig, WebSocketListenConfig } from '#src/config/config.js'
import { type HttpServer, startHttp } from '#src/http/server.js'
import type { Transport, TransportContext } from '#src/transports/transport.js'
import { openWebSocket } from '#src/transports/websocket/transport.js'
import { UpgradeRoutes } from '#src/upgrade-routes.js'
import { RelayServer, WebSocketPeer } from '../support/websocket-peer.js'
import { fakeView, partsOf } from '../unit/http/fake-view.js'
import { DataPlaneRig } from './data-plane-rig.js'
import type { Harness, RigOptions, Station } from './rig.js'

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

export class WebSocketRig extends DataPlaneRig<WebSocketConfig> {
  readonly upgrades: UpgradeRoutes
  readonly #role: Role
  readonly #name: string
  readonly #joined = new Map<number, Joined>()
  readonly #relayPorts = new Map<number, number>()
  #http: HttpServer | null = null

  /** `upgrades`: shared by rigs that are to be one switch. */
  constructor(role: Role, options: RigOptions, { name = 'lab', upgrades = new UpgradeRoutes() } = {}) {
    super(options)
    this.#role = role
    this.#name = name
    this.upgrades = upgrades
  }

  /** `tokens`: of the HTTP server's API. */
  override async start(
    options: Partial<WebSocketListenConfig> = {},
    tokens: readonly TokenConfig[] = [],
  ): Promise<void> {
    await super.start()
    if (this.#role === 'connect') return
    if (this.#role === 'http') await this.#startHttp(tokens)
    await this.attach(this.listenConfig(options))
  }

  /** Where clients connect to. */
  get url(): string {
    if (this.#http !== null) return `${this.#http.url.replace('http', 'ws')}${this.transport().where}`
    return this.transport().where
  }

  override transport(name = 'web'): Transport<WebSocketConfig> {
    return super.transport(name)
  }

  protected openTransport(config: WebSocketConfig, context: TransportContext): Promise<Transport<WebSocketConfig>> {
    return openWebSocket(config, { ...context, upgrades: this.upgrades, switchName: () => this.#name })
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
      if (!this.transports.has(name)) await this.attach(this.connectConfig(name, `ws://127.0.0.1:${relay.port}/relay`))
      this.#joined.set(number, { peer: await relay.accept(), relay })
    } else {
      this.#joined.set(number, { peer: await WebSocketPeer.connect(this.url), relay: null })
    }
    const { peer } = this.#joined.get(number) as Joined
    await this.introduce(number, hello => peer.send([hello]))
    peer.receiveNow()
    return {
      send: frames => peer.send(frames),
      receive: count => peer.receive(count),
      stall: () => peer.ws.pause(),
      resume: () => peer.ws.resume(),
      leave: () => void this.#leave(number),
    }
  }

  protected async dismiss(): Promise<void> {
    await this.#http?.close()
    for (const number of [...this.#joined.keys()]) await this.#leave(number)
  }

  async #startHttp(tokens: readonly TokenConfig[]): Promise<void> {
    const config = {
      listen: '127.0.0.1:0',
      permissions: 0o600,
      owner: null,
      group: null,
      anonymous: tokens.length === 0 ? 'read' : 'none',
      tokens,
      allowedHosts: [],
      tls: null,
      allowedPaths: [],
      secretsDir: null,
      allowedTargets: [],
      allowedInterfaces: ['slirp', 'auto'],
    } as const
    this.#http = await startHttp({ ...partsOf(fakeView()), config, log: this.log, upgrades: this.upgrades })
  }

  #common(name: string) {
    return {
      type: 'websocket',
      name,
      port: this.policy,
      token: null,
      pingSeconds: 30,
      idleSeconds: 100,
      textPings: false,
    } as const
  }

  async #leave(number: number): Promise<void> {
    const joined = this.#joined.get(number)
    this.#joined.delete(number)
    joined?.peer.leave()
    await joined?.relay?.close()
  }
}
