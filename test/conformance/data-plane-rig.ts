/**
 * What the rigs of transports share: a real data plane in its own thread, the transports that are attached to it, and
 * which port is whose. A rig adds how its transport is opened and what its stations are.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AttachmentConfig } from '#src/config/attachment.js'
import { type CaptureRecord, RecordReader } from '#src/dataplane/capture-record.js'
import type { DataPlane, PortRecord } from '#src/dataplane/data-plane.js'
import { DescriptorShare } from '#src/dataplane/descriptor-budget.js'
import type { EndpointDropReason, PortCounters } from '#src/dataplane/shared-memory.js'
import * as libc from '#src/os/libc.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { createOs, type Os } from '#src/os/os.js'
import { streamPair } from '#src/os/stream-socket.js'
import { closeSocket } from '#src/os/unix-socket.js'
import type { Transport, TransportContext, TransportEvent } from '#src/transports/transport.js'
import { UpgradeRoutes } from '#src/upgrade-routes.js'
import { replaceDataPlane, roomyDataPlane } from '../support/data-plane.js'
import { frame } from '../support/frames.js'
import { RecordedFindings } from '../support/recorded-findings.js'
import { recordingLogger } from '../support/recording-logger.js'
import { until } from '../support/until.js'
import { addressOf, type Rig, type RigOptions, type Station } from './rig.js'

export abstract class DataPlaneRig<Config extends AttachmentConfig> implements Rig {
  /** For files of the switch and of its peers, and the switch's runtimeDir. Removed at the end. */
  readonly folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
  readonly log = recordingLogger()
  /** What transports reported, oldest first. */
  readonly reports: TransportEvent[] = []
  readonly findings = new RecordedFindings()
  readonly dataPlane: DataPlane
  protected readonly options: RigOptions
  protected readonly os: Os = createOs()
  /** By name, in the order of their indices. */
  protected readonly transports = new Map<string, Transport<Config>>()
  /** Ports of the stations that joined. */
  protected readonly records = new Map<number, PortRecord>()

  constructor(options: RigOptions) {
    this.options = options
    this.dataPlane = roomyDataPlane(this.os, this.log, options.maxFrameSize)
    this.dataPlane.on('event', event => {
      if (event.type === 'endpoint') this.transports.get(event.name)?.message(event.message)
      // For whoever holds the record.
      if (event.type === 'port-removed') Object.assign(this.dataPlane.ports.get(event.index) ?? {}, { up: false })
    })
  }

  abstract join(number: number): Promise<Station>

  protected abstract openTransport(config: Config, context: TransportContext): Promise<Transport<Config>>

  /** Ends whatever the rig made besides the switch; transports are closed by then. */
  protected abstract dismiss(): void | Promise<void>

  start(): Promise<void> {
    return this.dataPlane.start()
  }

  async attach(config: Config): Promise<Transport<Config>> {
    const { name } = config
    const index = this.transports.size
    const transport = await this.openTransport(config, {
      os: this.os,
      log: this.log,
      runtimeDir: this.folder,
      account: null,
      upgrades: new UpgradeRoutes(),
      switchName: () => 'test',
      send: message => {
        this.dataPlane.command({ type: 'endpoint', name, message }).catch(error => this.log.error(String(error)))
      },
      findings: this.findings,
      descriptors: new DescriptorShare(this.dataPlane.counters, index, 'control'),
      report: event => void this.reports.push(event),
      contain: callback => {
        callback()
        return true
      },
    })
    this.transports.set(name, transport)
    await this.dataPlane.attach(name, () => transport.spec(index) ?? assert.fail(`${name} has nothing to attach`))
    return transport
  }

  transport(name: string): Transport<Config> {
    return this.transports.get(name) ?? assert.fail(`there is no transport ${name}`)
  }

  port(number: number): PortRecord {
    return this.records.get(number) ?? assert.fail(`station ${number} never joined`)
  }

  counters(number: number): PortCounters {
    return this.dataPlane.counters.readPort(this.port(number).index)
  }

  /** What no port counts, by reason. Transports are numbered as they were attached. */
  drops(index = 0): Record<EndpointDropReason, number> {
    return this.dataPlane.counters.readEndpoint(index)
  }

  until(what: string, condition: () => boolean): Promise<void> {
    return until(condition, what)
  }

  async capture(): Promise<() => Promise<CaptureRecord[]>> {
    const [ours, theirs] = streamPair(this.os.layout)
    const capture = { id: 1, fd: theirs, portId: null, snapLength: 65_550, filter: null }
    await this.dataPlane.command({ type: 'capture-start', capture })
    return async () => {
      await this.dataPlane.command({ type: 'capture-stop', id: capture.id })
      const memory = new NativeMemory(4 * 1024 * 1024)
      const length = libc.recv(ours, memory.address, memory.bytes.length, this.os.layout.constants.MSG_DONTWAIT)
      for (const fd of [ours, theirs]) closeSocket(fd)
      return new RecordReader(() => {}).read(Buffer.from(memory.bytes.slice(0, Math.max(0, length))))
    }
  }

  replace(how: 'planned' | 'crash'): Promise<void> {
    return replaceDataPlane(this.dataPlane, how)
  }

  async stop(): Promise<string[]> {
    await this.dataPlane.stop()
    for (const transport of this.transports.values()) await transport.close()
    await this.dismiss()
    const left = readdirSync(this.folder)
    rmSync(this.folder, { recursive: true })
    return left
  }

  /** The policy of every port. */
  protected get policy() {
    const { maxFrameSize, queueFrames } = this.options
    return { maxFrameSize, isolated: false, queueFrames, fdb: { maxEntries: 0, static: [] } }
  }

  protected portNamed(name: string): PortRecord {
    const port = [...this.dataPlane.ports.values()].find(each => each.name === name)
    return port ?? assert.fail(`there is no port ${name}`)
  }

  /** A frame to oneself goes nowhere, under this reason. */
  protected helloes(index: number): number {
    return this.dataPlane.counters.readPort(index).receiveDrops['same-port']
  }

  protected hello(number: number): Uint8Array {
    return frame(addressOf(number), addressOf(number))
  }

  /** Has a station say hello once; the port that hears it is its port from now on. */
  protected async introduce(number: number, say: (hello: Uint8Array) => void | Promise<void>): Promise<void> {
    const ports = () => [...this.dataPlane.ports.values()]
    // By id: an index is used again.
    const before = new Map(ports().map(({ id, index }) => [id, this.helloes(index)]))
    await say(this.hello(number))
    await until(() => {
      const port = ports().find(({ id, index, up }) => up && this.helloes(index) > (before.get(id) ?? 0))
      if (port !== undefined) this.records.set(number, port)
      return port !== undefined
    }, `station ${number} is known`)
  }
}
