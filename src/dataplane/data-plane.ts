/**
 * The data plane as the main thread sees it: a worker thread that can be told things, that tells things, and that is
 * replaced when it dies.
 *
 * Everything a data plane needs to go on is kept here: shared counters, the shared FDB, and for each endpoint its
 * specification and its ports with what the endpoint asked to remember. Descriptors belong to the process, so a new
 * thread simply goes on with them; VMs notice a pause, and lose what waited in queues. A thread that keeps dying is
 * started again ever more slowly, never given up: a switch that is slow to come back is better than none.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { MessagePort, Worker } from 'node:worker_threads'
import type { Logger } from '../log.js'
import { closeAll, type Os } from '../os/os.js'
import type { Waker } from '../os/waker.js'
import { Fdb } from '../switch/fdb.js'
import { sharedClock } from './clock.js'
import { CommandChannel, CommandRefused, DataPlaneEnded, isCarried } from './command-channel.js'
import type { PortSettings } from './endpoint.js'
import { EndpointFailures } from './endpoint-failures.js'
import { startThread } from './forwarding-thread.js'
import type { Command, DataPlaneSettings, EndpointSpec, Event, WorkerInit } from './messages.js'
import { type PortRecord, PortRecords } from './port-records.js'
import { RaisedFindings } from './raised-findings.js'
import { allocate, type Replacement } from './replacement.js'
import { RestartDelays } from './restart-delays.js'
import { SharedCounters, type SharedMemoryShape, SwitchField } from './shared-memory.js'

/** A data plane that is silent for longer is stuck: a turn takes at most a second and a bit. */
const STALL_MS = 5000

export { CommandRefused, DataPlaneEnded } from './command-channel.js'
export type { PortRecord } from './port-records.js'

interface DataPlaneEvents {
  event: [Event]
  restarted: [number]
  /** Once for each reason in a series of failures. */
  'endpoint-failed': [name: string, reason: string, retryMs: number]
  'endpoint-recovered': [name: string]
}

export class DataPlane extends EventEmitter<DataPlaneEvents> {
  readonly counters: SharedCounters
  readonly failures = new EndpointFailures({
    retry: name => void this.#retry(name),
    failed: (name, reason, retryMs) => this.emit('endpoint-failed', name, reason, retryMs),
    recovered: name => this.emit('endpoint-recovered', name),
  })
  readonly #records = new PortRecords(event => this.emit('event', event))
  restarts = 0
  #settings: DataPlaneSettings
  #fdb: SharedArrayBuffer
  readonly #waker: Waker
  readonly #log: Logger
  readonly #clock = sharedClock()
  /** Makes the specification, with what the transport says now. */
  readonly #endpoints = new Map<string, () => Omit<EndpointSpec, 'ports'>>()
  readonly #findings = new RaisedFindings()
  readonly #channel: CommandChannel
  #worker: Worker | null = null
  #port: MessagePort | null = null
  #privateDescriptors: readonly number[] = []
  #startedAt = 0
  readonly #delays = new RestartDelays()
  #stopping = false
  readonly #stopWaiting = new AbortController()
  #replacement: Replacement | null = null
  /** What the last thread that failed said. */
  #lastError = ''
  #running: Promise<void> = Promise.resolve()

  constructor(os: Os, settings: DataPlaneSettings, shape: SharedMemoryShape, log: Logger) {
    super()
    this.#log = log
    this.#settings = settings
    this.#waker = os.createWaker()
    this.#channel = new CommandChannel(this.#waker)
    this.counters = new SharedCounters(shape)
    this.counters.cells[SwitchField.nextPortId] = 1
    this.#fdb = new SharedArrayBuffer(Fdb.bytesFor(settings.fdb.maxEntries))
  }

  /** Memory of the filtering database; read it with FdbReader. Replaced when its size changes. */
  get fdb(): SharedArrayBuffer {
    return this.#fdb
  }

  get ports(): ReadonlyMap<number, PortRecord> {
    return this.#records.byIndex
  }

  get settings(): DataPlaneSettings {
    return this.#settings
  }

  /** Resolves when the loop runs. */
  start(): Promise<void> {
    this.#running = this.#spawn()
    return this.#running
  }

  /**
   * Hands an endpoint to the data plane. Rejects with CommandRefused when it cannot be opened, and nothing of it is
   * left then; with `keep`, it stays as one that failed, and is tried again.
   */
  async attach(name: string, spec: () => Omit<EndpointSpec, 'ports'>, keep = false): Promise<void> {
    this.#endpoints.set(name, spec)
    this.counters.clearEndpoint(spec().index)
    try {
      await this.#command({ type: 'attach', endpoint: { ...spec(), ports: [] } })
      // A thread that started meanwhile has opened it by itself.
      const failure = this.failures.get(name)
      if (failure?.failed === true && !keep) throw new CommandRefused(failure.reason)
    } catch (error) {
      if (keep) {
        if (error instanceof CommandRefused) this.failures.add(name, error.message)
        return
      }
      await this.detach(name)
      throw error
    }
  }

  /** After this, nothing uses the transport's descriptors. */
  async detach(name: string): Promise<void> {
    this.#endpoints.delete(name)
    this.failures.forget(name)
    await this.#command({ type: 'detach', name }).catch(error => {
      // The next thread is made without it.
      if (!(error instanceof DataPlaneEnded)) throw error
    })
    this.#abandonPorts(port => port.endpoint === name)
    this.#findings.forget(name)
  }

  /**
   * Resolves when done. While the thread is being replaced, when the next one runs: that one starts from the newer
   * state. Rejects with DataPlaneEnded when the thread ends before it answers and the next one would not do it by
   * itself.
   */
  async command(command: Command): Promise<void> {
    try {
      await this.#command(command)
    } catch (error) {
      if (!(error instanceof DataPlaneEnded && isCarried(command))) throw error
      await this.#running
    }
  }

  /**
   * Changes what holds for one port alone, now and in every data plane to come. Rejects with CommandRefused, having
   * changed nothing, when the data plane cannot do it.
   */
  async setPort(port: PortRecord, settings: PortSettings): Promise<void> {
    const before = port.settings
    // Before it is asked: should the thread die over it, the next one is made from this.
    port.settings = settings
    try {
      await this.#command({ type: 'set-port', index: port.index, id: port.id, settings })
    } catch (error) {
      port.settings = before
      throw error
    }
  }

  /**
   * Takes settings that the loop's memory was made for: a new thread on the same descriptors, which is not counted a
   * restart. Rejects with CommandRefused when no thread can be made with them; then one with the settings before goes
   * on.
   */
  async replace(settings: DataPlaneSettings): Promise<void> {
    const before = { settings: this.#settings, fdb: this.#fdb }
    if (settings.fdb.maxEntries !== this.#settings.fdb.maxEntries) {
      // A table of another size starts empty: learning again costs each address one flood.
      this.#fdb = allocate(Fdb.bytesFor(settings.fdb.maxEntries))
    }
    this.#settings = settings
    // A thread that is just starting was made from the settings before.
    await this.#running
    if (this.#worker === null) return this.#running
    const replacement: Replacement = { ...before, ended: false, failure: null }
    this.#replacement = replacement
    await this.#end(this.#worker, { type: 'hand-over' })
    await this.#running
    if (replacement.failure === null) return
    await this.#running
    throw new CommandRefused(replacement.failure)
  }

  /** Settings that were changed by a command and hold for the next thread too. */
  adopt(settings: DataPlaneSettings): void {
    this.#settings = settings
  }

  /** Undefined when the loop turns. */
  trouble(): string | undefined {
    if (this.#worker === null) return 'the data plane is being restarted'
    const silentMs = this.#clock() - this.counters.cells[SwitchField.heartbeat]
    return silentMs > STALL_MS ? `the data plane has not turned for ${Math.round(silentMs / 1000)} s` : undefined
  }

  async stop(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    this.failures.stop()
    this.#stopWaiting.abort()
    // A thread that is just starting takes no command yet, and must not be left with descriptors that are closed.
    await this.#running.catch(() => {})
    if (this.#worker !== null) await this.#end(this.#worker, { type: 'stop' })
    this.#abandonPorts(() => true)
    this.#waker.close()
  }

  /** Resolves when the thread has ended, as it was told or, where it cannot be told, by force. */
  async #end(worker: Worker, command: Command): Promise<void> {
    const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()))
    await this.#command(command).catch(() => worker.terminate())
    await exited
  }

  async #spawn(): Promise<void> {
    this.counters.cells[SwitchField.eventsTaken] = 0
    const init: WorkerInit = {
      settings: { ...this.#settings, fdb: { ...this.#settings.fdb, hashSeed: randomBytes(4).readInt32LE() } },
      shape: this.counters.shape,
      counters: this.counters.buffer,
      fdb: this.#fdb,
      wakeFd: this.#waker.readFd,
      endpoints: [...this.#endpoints.values()].map(spec => this.#withPorts(spec())),
      findings: this.#findings.all(),
    }
    const thread = startThread(init, {
      event: event => {
        this.counters.cells[SwitchField.eventsTaken]++
        this.#receive(event)
      },
      started: worker => {
        this.#worker = worker
        this.counters.cells[SwitchField.heartbeat] = this.#clock()
        this.#replacement = null
      },
      failed: error => {
        this.#lastError = error.message
        this.#log.error({ err: String(error.stack ?? error) }, 'the data plane failed')
      },
      exited: () => this.#exited(),
    })
    this.#port = thread.port
    this.#startedAt = Date.now()
    await thread.running
  }

  #withPorts(spec: Omit<EndpointSpec, 'ports'>): EndpointSpec {
    return { ...spec, ports: this.#records.restored(spec.name) }
  }

  /** Makes an endpoint that failed anew, from what it had reported. */
  async #retry(name: string): Promise<void> {
    try {
      const spec = this.#endpoints.get(name)
      if (spec !== undefined) await this.#command({ type: 'attach', endpoint: this.#withPorts(spec()) })
    } catch (error) {
      // Should the thread have ended, the next one tries again.
      if (this.#endpoints.has(name) && !(error instanceof DataPlaneEnded)) {
        this.failures.add(name, (error as Error).message)
      }
    }
  }

  /** The thread is gone, by its own fault or ours. The next one is made from what it said. */
  #exited(): void {
    closeAll(this.#privateDescriptors)
    this.#privateDescriptors = []
    this.#worker = null
    this.#port = null
    this.#channel.abandon()
    if (this.#stopping) return
    if (this.#replacement === null) this.#countDeath()
    else if (this.#replacement.ended) this.#rollBack(this.#replacement)
    else this.#replacement.ended = true
    this.#running = delay(this.#delays.waitMs, undefined, { signal: this.#stopWaiting.signal })
      .catch(() => {})
      .then(() => this.#respawn())
  }

  async #respawn(): Promise<void> {
    try {
      if (this.#stopping) return
      await this.#spawn()
      this.emit('restarted', this.restarts)
    } catch (error) {
      // #exited has arranged for the next attempt.
      this.#log.error({ err: String(error) }, 'the data plane could not be restarted')
    }
  }

  /** No thread starts with the new settings: the next one gets those before. */
  #rollBack(replacement: Replacement): void {
    this.#settings = replacement.settings
    this.#fdb = replacement.fdb
    this.#replacement = null
    replacement.failure = `the data plane does not start with these settings: ${this.#lastError}`
  }

  /** Ports whose thread died before it could close them. */
  #abandonPorts(isAbandoned: (port: PortRecord) => boolean): void {
    for (const port of [...this.#records.byIndex.values()].filter(isAbandoned)) {
      closeAll(port.descriptors ?? [])
      this.#receive({ type: 'port-removed', index: port.index, id: port.id, at: this.#clock() })
    }
  }

  #countDeath(): void {
    this.restarts++
    this.#delays.died(Date.now() - this.#startedAt)
    this.#log.error({ restarts: this.restarts }, 'the data plane died and is being replaced')
  }

  #receive(event: Event): void {
    if (this.#records.take(event)) {
      if (event.type === 'port-removed') this.#findings.forget(event.index)
      return
    }
    switch (event.type) {
      case 'opened':
        this.#privateDescriptors = event.descriptors
        return
      case 'reply':
        this.#channel.settle(event.id, event.error)
        return
      case 'endpoint-opened':
        this.#records.settle(event.name)
        this.failures.opened(event.name)
        return
      case 'endpoint-failed':
        this.#log.error({ name: event.name, err: event.stack ?? event.reason }, 'a transport failed on the data plane')
        if (this.#endpoints.has(event.name)) this.failures.add(event.name, event.reason)
        return
      case 'finding':
        this.#findings.note(event)
        break
    }
    this.emit('event', event)
  }

  #command(command: Command): Promise<void> {
    // A thread that is starting was made from the state before; it takes what came since once it runs.
    return this.#port === null ? this.#running : this.#channel.send(this.#port, command)
  }
}
