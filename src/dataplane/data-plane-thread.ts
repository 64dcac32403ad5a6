/**
 * One data plane, put together: poller, pool, core, egress, ports, endpoints, and what happens about once a second.
 * `worker.ts` runs it in a thread of its own; tests run it in theirs, turn by turn.
 */
import type { Os } from '../os/os.js'
import { FdbStat } from '../switch/fdb.js'
import { Switch } from '../switch/switch.js'
import { formatMac } from '../wire/ethernet.js'
import { Ageing } from './ageing.js'
import { Captures } from './captures.js'
import { ContainedEndpoints, type EndpointFactory } from './contained-endpoints.js'
import { DescriptorShare } from './descriptor-budget.js'
import { DescriptorTable } from './descriptor-table.js'
import { Egress } from './egress.js'
import type { Endpoint, EndpointHost } from './endpoint.js'
import { Engine } from './engine.js'
import { EventReporter } from './event-reporter.js'
import { FindingReporter } from './finding-reporter.js'
import { FrameList } from './frame-list.js'
import { FramePool } from './frame-pool.js'
import { MIN_SLOTS } from './memory-size.js'
import type { Command, EndpointSpec, Event, WorkerInit } from './messages.js'
import { Mirrors } from './mirrors.js'
import { PortTable, type Restorable } from './port-table.js'
import { ReceiveBatch } from './receive-batch.js'
import { ENDPOINT_PORTS_MADE, endpointDropReasons, PortField, SharedCounters, SwitchField } from './shared-memory.js'
import { Tracer } from './tracer.js'

/** Between two looks at each endpoint; a little less than the engine's longest sleep, so that none is skipped. */
const TICK_MS = 900

export type { EndpointFactory } from './contained-endpoints.js'

export interface DataPlaneParts {
  os: Os
  init: WorkerInit
  endpointFactory: EndpointFactory
  emit: (event: Event) => void
  /** Sends events that wait; called about ten times a second. */
  flushEvents?: () => void
  /** Takes the next command; undefined when none waits. */
  nextCommand: () => { id: number; command: Command } | undefined
  clock: () => number
}

export class DataPlaneThread {
  readonly engine: Engine
  readonly core: Switch
  readonly ports: PortTable
  readonly pool: FramePool
  readonly #parts: DataPlaneParts
  readonly #counters: SharedCounters
  readonly #descriptors: DescriptorTable
  readonly #endpoints: ContainedEndpoints
  readonly #reporter: EventReporter
  readonly #findings: FindingReporter
  readonly #captures: Captures
  /** What data planes before this one had counted. */
  readonly #statsBase: Float64Array
  readonly #host: EndpointHost
  readonly #ageing: Ageing
  #tickAt = 0
  /** The ports an endpoint may restore, by index. */
  readonly #restorable = new Map<number, Restorable>()

  constructor(parts: DataPlaneParts) {
    const { os, init, clock } = parts
    const { settings, shape } = init
    this.#parts = parts
    this.#counters = new SharedCounters(shape, init.counters)
    const { cells } = this.#counters
    this.#statsBase = cells.slice(SwitchField.fdbLearned, SwitchField.fdbLearned + 4)
    this.#reporter = new EventReporter(cells)
    this.pool = new FramePool(settings.bufferBytes, settings.maxFrameSize, MIN_SLOTS)
    this.core = new Switch({
      ...settings.fdb,
      maxPorts: shape.maxPorts,
      maxFrameSize: settings.maxFrameSize,
      memory: init.fdb,
      listener: this.#listener(),
    })
    this.#ageing = new Ageing(this.core.fdb.capacity, clock())
    const poller = os.createPoller()
    parts.emit({ type: 'opened', descriptors: poller.descriptors })
    this.#descriptors = new DescriptorTable(poller)
    const { emit } = parts
    this.#findings = new FindingReporter(
      {
        emit,
        clock,
        ownerOf: port => this.ports.ownerOf(port),
        countSuppressed: () => void cells[SwitchField.eventsSuppressed]++,
      },
      init.findings,
    )
    const tracer = new Tracer({ maxPorts: shape.maxPorts, pool: this.pool, reporter: this.#reporter, clock, emit })
    const { MSG_DONTWAIT, MSG_NOSIGNAL } = os.layout.constants
    this.#captures = new Captures(shape.maxPorts, this.pool, clock, MSG_DONTWAIT | MSG_NOSIGNAL)
    const captures = this.#captures
    const mirrors = new Mirrors(shape.maxPorts)
    const egress = new Egress(shape.maxPorts, this.pool, this.#counters, this.#descriptors, tracer, captures)
    this.ports = new PortTable({
      core: this.core,
      egress,
      tracer,
      captures,
      mirrors,
      counters: this.#counters,
      findings: this.#findings,
      maxPorts: shape.maxPorts,
      clock,
      emit,
    })
    this.#endpoints = new ContainedEndpoints({
      ...{ pool: this.pool, ports: this.ports, descriptors: this.#descriptors, egress },
      ...{ factory: parts.endpointFactory, emit, clock },
    })
    this.engine = new Engine({
      poller,
      wakeFd: init.wakeFd,
      core: this.core,
      pool: this.pool,
      batch: new ReceiveBatch(os.layout, this.pool),
      list: new FrameList(),
      egress,
      tracer,
      captures,
      mirrors,
      descriptors: this.#descriptors,
      counters: this.#counters,
      maxPorts: shape.maxPorts,
      clock,
      commands: () => this.#runCommands(),
      slowWork: now => this.#slowWork(now),
      endpoints: this.#endpoints,
    })
    this.#host = this.#createHost()
    // The wake-up descriptor has no endpoint; the engine knows it by its number.
    this.#descriptors.watch(init.wakeFd, null as unknown as Endpoint)
    for (const { name, ports } of init.endpoints) for (const port of ports) this.ports.reserve(name, port)
    for (const spec of init.endpoints) this.#attachAgain(spec)
    this.core.flushAbsent()
    this.ports.bindStatics()
    emit({ type: 'started' })
  }

  /** What the data plane before this one had. One that cannot be made anew must not keep the others from it. */
  #attachAgain(spec: EndpointSpec): void {
    const { emit, clock } = this.#parts
    const reason = this.#attach(spec)
    if (reason !== null) emit({ type: 'endpoint-failed', name: spec.name, reason, stack: null, at: clock() })
  }

  /** Returns why not; null when it serves. */
  #attach(spec: EndpointSpec): string | null {
    for (const port of spec.ports) this.#restorable.set(port.index, port)
    return this.#endpoints.attach(spec, this.#host)
  }

  #createHost(): EndpointHost {
    const { ports } = this
    const { maxPorts } = this.#parts.init.shape
    const guardOf = (endpoint: Endpoint) => this.#endpoints.guardOf(endpoint)
    return {
      os: this.#parts.os,
      pool: this.pool,
      now: this.#parts.clock,
      addPort: (endpoint, port) => ports.add(guardOf(endpoint), port),
      needPort: (endpoint, port) => {
        const index = ports.add(guardOf(endpoint), port)
        if (index < 0)
          throw new Error(`no place for port "${port.name}": all ${maxPorts} ports are in use (switch.maxPorts)`)
        return index
      },
      failed: (endpoint, error) => guardOf(endpoint).fail('receive', error),
      restorePort: (endpoint, port, index) => {
        ports.restore(guardOf(endpoint), port, index, this.#restorable.get(index) as Restorable)
      },
      portUp: (index, update) => ports.up(index, update),
      portDown: (index, update) => ports.down(index, update),
      portRestored: index => ports.up(index, { peer: null, restore: null }, true),
      removePort: index => ports.remove(index),
      watch: (endpoint, fd) => this.#descriptors.watch(fd, guardOf(endpoint)),
      unwatch: fd => this.#descriptors.unwatch(fd),
      awaitConnected: (endpoint, fd) => this.#descriptors.awaitConnected(fd, guardOf(endpoint)),
      updateRestore: (index, restore) => this.#parts.emit({ type: 'port-restore', index, restore }),
      lookAgain: fd => {
        const descriptor = this.#descriptors.byFd(fd)
        if (descriptor !== undefined) this.engine.lookAgain(descriptor)
      },
      nextPortNumber: row => ++this.#counters.cells[this.#counters.endpointRow(row) + ENDPOINT_PORTS_MADE],
      descriptorShare: row => new DescriptorShare(this.#counters, row, 'data'),
      countDrop: (row, reason, count = 1) => {
        this.#counters.cells[this.#counters.endpointRow(row) + endpointDropReasons.indexOf(reason)] += count
      },
      raise: (subject, code, message, detail) => this.#findings.raise(subject, code, message, detail),
      clear: (subject, code) => this.#findings.clear(subject, code),
      send: (name, message) => this.#parts.emit({ type: 'endpoint', name, message }),
    }
  }

  #runCommands(): void {
    for (let next = this.#parts.nextCommand(); next !== undefined; next = this.#parts.nextCommand()) {
      const error = this.#execute(next.command)
      this.#endpoints.detachFailed()
      this.#publish()
      this.#parts.emit({ type: 'reply', id: next.id, error })
    }
  }

  /** Returns why it was refused, null when it was done. */
  #execute(command: Command): string | null {
    switch (command.type) {
      case 'attach':
        return this.#attach(command.endpoint)
      case 'detach':
        this.#endpoints.close(command.name)
        this.#findings.forget(command.name)
        return null
      case 'endpoint':
        // One that has failed is made anew from what its other half says then.
        this.#endpoints.get(command.name)?.message(command.message)
        return null
      case 'set-policy': {
        const endpoint = this.#endpoints.get(command.name)
        if (endpoint !== undefined) this.ports.setPolicy(endpoint, command.policy)
        return null
      }
      case 'set-port':
        return this.ports.setPort(command.index, command.id, command.settings)
      case 'disconnect':
        this.ports.disconnect(command.index, command.id)
        return null
      case 'forget':
        this.core.forget(command.mac)
        return null
      case 'set-limits':
        this.core.setLimits(command)
        return null
      case 'flush':
        if (command.port === null) this.core.flush()
        else if (this.ports.isUp(command.port)) this.core.flushPort(command.port)
        return null
      case 'hand-over':
        this.handOver()
        this.engine.running = false
        return null
      case 'capture-start':
        this.#captures.start(command.capture)
        return null
      case 'capture-stop':
        this.#parts.emit({ type: 'capture-stopped', id: command.id, counts: this.#captures.stop(command.id) })
        return null
      case 'stop':
        this.#endpoints.closeAll()
        this.engine.running = false
        return null
      default:
        throw new Error(`unknown command ${JSON.stringify(command)}`)
    }
  }

  /**
   * Reports what the next data plane needs to go on in the middle of things. What waits in queues is lost, and counted
   * by the next.
   */
  handOver(): void {
    this.engine.finishHeld()
    this.#endpoints.handOver()
  }

  /** After a fault of ours: whatever can still be said helps the next data plane. */
  lastWords(): void {
    this.#endpoints.handOver()
  }

  /** Returns how many milliseconds later it is to be called again at the latest. */
  #slowWork(now: number): number {
    this.#reporter.refill(now)
    this.#findings.flush(now)
    this.#parts.flushEvents?.()
    this.core.age(now, this.#ageing.piece(now))
    if (now >= this.#tickAt) {
      this.#tickAt = now + TICK_MS
      this.#endpoints.tick(now)
    }
    this.#publish()
    return this.#ageing.intervalMs
  }

  #publish(): void {
    const { cells } = this.#counters
    const { stats, fdbCounts, fdb } = this.core
    cells[SwitchField.fdbLearned] = this.#statsBase[0] + stats[FdbStat.learned]
    cells[SwitchField.fdbMoved] = this.#statsBase[1] + stats[FdbStat.moved]
    cells[SwitchField.fdbAged] = this.#statsBase[2] + stats[FdbStat.aged]
    cells[SwitchField.fdbRefused] = this.#statsBase[3] + stats[FdbStat.refused]
    cells[SwitchField.fdbEntries] = fdb.entries
    cells[SwitchField.poolFree] = this.pool.free
    cells[SwitchField.poolSlots] = this.pool.slots
    for (let index = 0; index < fdbCounts.length; index++) {
      cells[this.#counters.portRow(index) + PortField.fdbEntries] = fdbCounts[index]
    }
  }

  #listener(): NonNullable<ConstructorParameters<typeof Switch>[0]['listener']> {
    const { emit, clock } = this.#parts
    const reporter = this.#reporter
    return {
      learned: (high, low, port) => {
        if (reporter.admit('mac-learned')) emit({ type: 'mac-learned', mac: formatMac(high, low), port, at: clock() })
      },
      moved: (high, low, from, to, goesOn) => {
        // Its flapping was told, and is a finding.
        if (goesOn) this.#counters.cells[SwitchField.eventsSuppressed]++
        else if (reporter.admit('mac-moved'))
          emit({ type: 'mac-moved', mac: formatMac(high, low), from, to, at: clock() })
      },
      flapping: (high, low, from, port) => {
        this.#counters.cells[SwitchField.fdbFlapping]++
        if (!reporter.admit('mac-flapping')) return
        emit({ type: 'mac-flapping', mac: formatMac(high, low), from, port, at: clock() })
      },
      limitReached: port => {
        if (reporter.admit('limit-reached')) emit({ type: 'limit-reached', port: port < 0 ? null : port, at: clock() })
      },
    }
  }
}
