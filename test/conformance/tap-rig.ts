/** A real data plane with a TAP for each station, in a namespace of the test; the station is a packet socket on the TAP. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TapConfig } from '#src/config/interfaces/tap.js'
import { DataPlane, type PortRecord } from '#src/dataplane/data-plane.js'
import type { Command } from '#src/dataplane/messages.js'
import type { PortCounters } from '#src/dataplane/shared-memory.js'
import { createOs, type Os } from '#src/os/os.js'
import { openTap } from '#src/tap/transport.js'
import type { Transport } from '#src/transports/transport.js'
import { UpgradeRoutes } from '#src/upgrade-routes.js'
import { frame } from '../support/frames.js'
import { Netns } from '../support/netns.js'
import { PacketSocket, setLink } from '../support/packet-socket.js'
import { recordingLogger } from '../support/recording-logger.js'
import { until } from '../support/until.js'
import { addressOf, type Harness, type Rig, type RigOptions, type Station } from './rig.js'

export const tapHarness: Harness = {
  // The kernel sends none.
  runts: [],
  // A frame that is written to a TAP is the host's, whether anybody there reads it or not.
  backPressure: false,
  start: async options => {
    const rig = new TapRig(options)
    await rig.start()
    return rig
  },
}

/** Frames that the kernel keeps for us while the data plane is replaced; its default is 1,000. */
const QUEUE_FRAMES = 20_000

class TapRig implements Rig {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
  readonly #netns = Netns.make()
  readonly #dataPlane: DataPlane
  readonly #log = recordingLogger()
  readonly #options: RigOptions
  readonly #os: Os = createOs()
  readonly #taps = new Map<number, Transport<TapConfig>>()
  readonly #sockets = new Map<number, PacketSocket>()

  constructor(options: RigOptions) {
    this.#options = options
    const settings = {
      maxFrameSize: options.maxFrameSize,
      bufferBytes: 16 * 1024 * 1024,
      fdb: { ageingMs: 300_000, maxEntries: 1024, maxEntriesPerPort: 256, hashSeed: 0 },
    }
    this.#dataPlane = new DataPlane(this.#os, settings, { maxPorts: 32, maxEndpoints: 16 }, this.#log)
    this.#dataPlane.on('event', event => {
      if (event.type === 'endpoint') this.#taps.get(Number(event.name.slice(3)))?.message(event.message)
    })
  }

  async start(): Promise<void> {
    await this.#dataPlane.start()
  }

  async join(number: number): Promise<Station> {
    if (this.#taps.has(number)) setLink(this.#netns.name, `tap${number}`, true)
    else await this.#attach(number)
    this.#sockets.get(number)?.close()
    const socket = PacketSocket.on(this.#netns.name, `tap${number}`)
    this.#sockets.set(number, socket)
    await this.#introduce(number, socket)
    return {
      send: frames => socket.send(frames),
      receive: count => socket.receive(count),
      stall: () => {},
      resume: () => {},
      leave: () => setLink(this.#netns.name, `tap${number}`, false),
    }
  }

  port(number: number): PortRecord {
    const port = [...this.#dataPlane.ports.values()].find(({ name }) => name === `tap${number}`)
    assert.ok(port, `station ${number} never joined`)
    return port
  }

  counters(number: number): PortCounters {
    return this.#dataPlane.counters.readPort(this.port(number).index)
  }

  until(what: string, condition: () => boolean): Promise<void> {
    return until(condition, what)
  }

  async replace(how: 'planned' | 'crash'): Promise<void> {
    const dataPlane = this.#dataPlane
    if (how === 'planned') return dataPlane.replace({ ...dataPlane.settings, bufferBytes: 8 * 1024 * 1024 })
    const restarts = dataPlane.restarts
    await dataPlane.command({ type: 'nonsense' } as unknown as Command)
    await until(() => dataPlane.restarts === restarts + 1 && dataPlane.trouble() === undefined, 'a new data plane runs')
  }

  async stop(): Promise<string[]> {
    await this.#dataPlane.stop()
    for (const tap of this.#taps.values()) await tap.close()
    for (const socket of this.#sockets.values()) socket.close()
    const left = [...readdirSync(this.#folder), ...linksOf(this.#netns).filter(link => link !== 'lo')]
    this.#netns.remove()
    rmSync(this.#folder, { recursive: true })
    return left
  }

  async #attach(number: number): Promise<void> {
    const name = `tap${number}`
    const tap = await openTap(this.#config(name), {
      os: this.#os,
      log: this.#log,
      runtimeDir: this.#folder,
      upgrades: new UpgradeRoutes(),
      switchName: () => 'test',
      send: message => void this.#dataPlane.command({ type: 'endpoint', name, message }),
      report: ({ level, message }) => this.#log[level](message),
    })
    this.#netns.ip('link', 'set', name, 'txqueuelen', String(QUEUE_FRAMES))
    this.#taps.set(number, tap)
    await this.#dataPlane.attach(name, () => tap.spec(this.#index(number)) ?? assert.fail('nothing to attach'))
  }

  /** A frame to oneself goes nowhere, and is counted. */
  async #introduce(number: number, socket: PacketSocket): Promise<void> {
    const helloes = () => this.counters(number).receiveDrops['same-port']
    await this.until(`station ${number} is up`, () => this.port(number).up)
    const before = helloes()
    await socket.send([frame(addressOf(number), addressOf(number))])
    await this.until(`station ${number} is known`, () => helloes() > before)
    socket.forget()
  }

  #index(number: number): number {
    return [...this.#taps.keys()].indexOf(number)
  }

  /** The MTU is no limit here, so that what is too long for the port gets as far as the port. */
  #config(name: string): TapConfig {
    const { maxFrameSize, queueFrames } = this.#options
    return {
      ...{ type: 'tap', name, mode: 'host', device: name, netns: this.#netns.name },
      ...{ mac: null, mtu: 2 * maxFrameSize, persistent: false, owner: null },
      ...{ address: null, dhcp: null, bridge: null, createBridge: false },
      port: { maxFrameSize, isolated: false, queueFrames, fdb: { maxEntries: 0, static: [] } },
    }
  }
}

const linksOf = (netns: Netns) =>
  (JSON.parse(netns.ip('-json', 'link', 'show')) as { ifname: string }[]).map(({ ifname }) => ifname)
