/** A real data plane in its own thread, with stream transports, and peers that are sockets of this test. */
import { join } from 'node:path'
import type { StreamConfig } from '#src/config/config.js'
import type { FramingName } from '#src/transports/stream/framing.js'
import { openStreamTransport } from '#src/transports/stream/open.js'
import type { Transport, TransportContext } from '#src/transports/transport.js'
import { StreamPeer, StreamServer } from '../support/stream-peer.js'
import { DataPlaneRig } from './data-plane-rig.js'
import type { Harness, RigOptions, Station } from './rig.js'

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

export class StreamRig extends DataPlaneRig<StreamConfig> {
  readonly #role: Role
  readonly #family: Family
  readonly #framing: FramingName
  readonly #joined = new Map<number, Joined>()
  readonly #tcpPorts = new Map<number, number>()

  constructor(role: Role, family: Family, framing: FramingName, options: RigOptions) {
    super(options)
    this.#role = role
    this.#family = family
    this.#framing = framing
  }

  override async start(): Promise<void> {
    await super.start()
    if (this.#role === 'many') await this.attach(this.#config('vms', 'vms.sock'))
  }

  /** A connection that says nothing yet. */
  connect(number = 0): Promise<StreamPeer> {
    const where = this.transport(this.#nameOf(number)).where
    const to = this.#family === 'unix' ? { path: where } : tcpOf(where)
    return StreamPeer.connect(to, this.#framing)
  }

  async join(number: number): Promise<Station> {
    const name = this.#nameOf(number)
    if (this.#role === 'connect') {
      const server = await this.#serve(number)
      if (!this.transports.has(name)) await this.attach(this.#config(name, this.#remoteOf(number, server)))
      this.#joined.set(number, { peer: await server.accept(this.#framing, 20_000), server })
    } else {
      if (this.#role === 'one' && !this.transports.has(name)) await this.attach(this.#config(name, `vm${number}.sock`))
      this.#joined.set(number, { peer: await this.connect(number), server: null })
    }
    const { peer } = this.#joined.get(number) as Joined
    await this.introduce(number, hello => peer.send([hello]))
    peer.receiveNow()
    return {
      send: frames => peer.send(frames),
      receive: count => peer.receive(count),
      stall: () => peer.stall(),
      resume: () => peer.resume(),
      leave: () => this.#leave(number),
    }
  }

  protected openTransport(config: StreamConfig, context: TransportContext): Promise<Transport<StreamConfig>> {
    return openStreamTransport(config, context)
  }

  protected async dismiss(): Promise<void> {
    for (const number of [...this.#joined.keys()]) this.#leave(number)
    await new Promise(resolve => setImmediate(resolve))
  }

  #config(name: string, where: string): StreamConfig {
    const common = { type: 'stream', name, port: this.policy, framing: this.#framing, keepAliveSeconds: 15 } as const
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
