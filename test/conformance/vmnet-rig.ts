/** A real data plane in its own thread, and vmnet interfaces of the stand-in with one station behind each. */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import type { VmnetConfig } from '#src/config/interfaces/vmnet.js'
import { DataPlane, type PortRecord } from '#src/dataplane/data-plane.js'
import type { Command } from '#src/dataplane/messages.js'
import type { PortCounters } from '#src/dataplane/shared-memory.js'
import { createOs, type Os } from '#src/os/os.js'
import type { Transport, TransportEvent } from '#src/transports/transport.js'
import { UpgradeRoutes } from '#src/upgrade-routes.js'
import { openVmnet } from '#src/vmnet/transport.js'
import { frame } from '../support/frames.js'
import { recordingLogger } from '../support/recording-logger.js'
import { until } from '../support/until.js'
import { libraryVariable, Standin, standinLibrary } from '../support/vmnet-standin.js'
import { addressOf, type Harness, type Rig, type RigOptions, type Station } from './rig.js'

/** `mtuFor` gives the interface's MTU for the switch's maxFrameSize. */
export function vmnetHarness(mtuFor: (maxFrameSize: number) => number, oversize: readonly number[]): Harness {
  return {
    runts: [1, 13],
    oversize,
    noticesDeparture: false,
    start: async options => {
      const rig = new VmnetRig(options, mtuFor(options.maxFrameSize))
      await rig.start()
      return rig
    },
  }
}

interface Behind {
  /** The stand-in's number of the interface. */
  readonly number: number
  readonly transport: Transport<VmnetConfig>
  stalled: boolean
}

export class VmnetRig implements Rig {
  readonly dataPlane: DataPlane
  readonly standin: Standin
  readonly events: TransportEvent[] = []
  readonly #options: RigOptions
  readonly #mtu: number
  readonly #os: Os = createOs()
  readonly #log = recordingLogger()
  readonly #behind = new Map<number, Behind>()

  constructor(options: RigOptions, mtu: number) {
    this.#options = options
    this.#mtu = mtu
    process.env[libraryVariable] = standinLibrary()
    this.standin = new Standin()
    this.standin.control('reset; backend memory; ring 512')
    const settings = {
      maxFrameSize: options.maxFrameSize,
      bufferBytes: 16 * 1024 * 1024,
      fdb: { ageingMs: 300_000, maxEntries: 1024, maxEntriesPerPort: 256, hashSeed: 0 },
    }
    this.dataPlane = new DataPlane(this.#os, settings, { maxPorts: 32, maxEndpoints: 16 }, this.#log)
    this.dataPlane.on('event', event => {
      if (event.type !== 'endpoint') return
      for (const { transport } of this.#behind.values()) {
        if (transport.config.name === event.name) transport.message(event.message)
      }
    })
  }

  start(): Promise<void> {
    return this.dataPlane.start()
  }

  async join(number: number): Promise<Station> {
    const behind = this.#behind.get(number) ?? (await this.open(number))
    behind.stalled = false
    const { index } = this.port(number)
    const known = this.#helloes(index)
    this.standin.inject(frame(addressOf(number), addressOf(number)), behind)
    await until(() => this.#helloes(index) > known, `station ${number} is known`)
    return {
      send: frames => this.#send(behind, frames),
      receive: count => this.#receive(behind, count),
      stall: () => {},
      resume: () => {},
      leave: () => {},
    }
  }

  port(number: number): PortRecord {
    const name = `vm${number}`
    const port = [...this.dataPlane.ports.values()].find(each => each.name === name)
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
    for (const { transport } of this.#behind.values()) await transport.close()
    await this.standin.nothingLeft()
    return []
  }

  /** An interface that nobody has spoken through yet. */
  async open(number: number): Promise<Behind> {
    const name = `vm${number}`
    const { maxFrameSize, queueFrames } = this.#options
    const config: VmnetConfig = {
      type: 'vmnet',
      name,
      vmnet: { mode: 'host', mtu: this.#mtu },
      forwards: [],
      port: { maxFrameSize, isolated: false, queueFrames, fdb: { maxEntries: 0, static: [] } } as VmnetConfig['port'],
    }
    const transport = await openVmnet(config, {
      os: this.#os,
      log: this.#log,
      runtimeDir: tmpdir(),
      upgrades: new UpgradeRoutes(),
      switchName: () => 'test',
      send: () => assert.fail('a vmnet endpoint is told nothing'),
      report: event => this.events.push(event),
    })
    const behind = { number: this.standin.lastInterface, transport, stalled: false }
    const index = this.#behind.size
    this.#behind.set(number, behind)
    await this.dataPlane.attach(name, () => transport.spec(index) as NonNullable<ReturnType<typeof transport.spec>>)
    await until(() => this.port(number).up, `${name} is up`)
    return behind
  }

  /** A frame to oneself goes nowhere, under this reason. */
  #helloes(index: number): number {
    return this.dataPlane.counters.readPort(index).receiveDrops['same-port']
  }

  async #send({ number }: Behind, frames: readonly Uint8Array[]): Promise<void> {
    for (const each of frames) {
      if (this.standin.inject(each, { number }) === 1) continue
      await until(() => this.standin.inject(each, { number }) === 1, 'there is room towards the switch')
    }
  }

  async #receive({ number }: Behind, count: number): Promise<Uint8Array[]> {
    const received: Uint8Array[] = []
    await until(() => {
      while (received.length < count) {
        const next = this.standin.take(number)
        if (next === undefined) return false
        received.push(next)
      }
      return true
    }, `${count} frames arrived`)
    return received
  }
}
