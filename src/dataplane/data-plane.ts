/**
 * The data plane as the main thread sees it: a worker thread that can be told things, that tells things, and that is
 * replaced when it dies.
 *
 * Everything a data plane needs to go on is kept here: shared counters, the shared FDB, and for each endpoint its
 * specification and its ports with what the endpoint asked to remember. Descriptors belong to the process, so a new thread
 * simply goes on with them; VMs notice a pause, and lose what waited in queues. A thread that keeps dying is started
 * again ever more slowly, never given up: a switch that is slow to come back is better than none.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { Logger } from '../log.js'
import { closeAll, type Os } from '../os/os.js'
import { type Waker, wake } from '../os/waker.js'
import { Fdb } from '../switch/fdb.js'
import { sharedClock } from './clock.js'
import type { PortSettings } from './endpoint.js'
import type {
  Command,
  DataPlaneSettings,
  EndpointSpec,
  Event,
  FindingEvent,
  RaisedFinding,
  Request,
  RestoredPort,
  WorkerInit,
} from './messages.js'
import { SharedCounters, type SharedMemoryShape, SwitchField } from './shared-memory.js'

/** Waits between restarts, in milliseconds, when they follow each other; the last one from then on. */
const RESTART_DELAYS_MS = [0, 100, 500, 1000, 5000]
/** A thread that ran this long was not part of a series. */
const STABLE_MS = 10_000
/** A command that is not answered in this time is a fault. */
const REPLY_TIMEOUT_MS = 10_000
/** A turn takes at most a second and a bit; a data plane silent for longer is stuck. */
const STALL_MS = 5000

export interface PortRecord extends RestoredPort {
  /** What the endpoint called it; `name` may have been changed since. */
  readonly givenName: string
  endpoint: string
  kind: string
  /** Opened by the endpoint for this port alone. */
  descriptors?: readonly number[]
  /** Milliseconds since 1970 at the last change. */
  since: number
}

interface Attached {
  /** The specification, with what the transport says now. */
  spec: () => Omit<EndpointSpec, 'ports'>
}

interface DataPlaneEvents {
  event: [Event]
  restarted: [number]
}

/** The data plane could not do what it was asked, for a reason that is nobody's fault; it changed nothing. */
export class CommandRefused extends Error {}

export class DataPlane extends EventEmitter<DataPlaneEvents> {
  readonly counters: SharedCounters
  readonly ports = new Map<number, PortRecord>()
  restarts = 0
  #settings: DataPlaneSettings
  #fdb: SharedArrayBuffer
  readonly #waker: Waker
  readonly #log: Logger
  readonly #clock = sharedClock()
  readonly #endpoints = new Map<string, Attached>()
  /** What the data plane says is wrong, by subject and code. */
  readonly #findings = new Map<string, RaisedFinding>()
  readonly #replies = new Map<number, { resolve: () => void; reject: (error: Error) => void; timer: NodeJS.Timeout }>()
  #worker: Worker | null = null
  #port: MessagePort | null = null
  #privateDescriptors: readonly number[] = []
  #nextRequest = 1
  #startedAt = 0
  #deaths = 0
  #stopping = false
  readonly #stopWaiting = new AbortController()
  #replacing = false
  #running: Promise<void> = Promise.resolve()

  constructor(os: Os, settings: DataPlaneSettings, shape: SharedMemoryShape, log: Logger) {
    super()
    this.#log = log
    this.#settings = settings
    this.#waker = os.createWaker()
    this.counters = new SharedCounters(shape)
    this.counters.cells[SwitchField.nextPortId] = 1
    this.#fdb = new SharedArrayBuffer(Fdb.bytesFor(settings.fdb.maxEntries))
  }

  /** Memory of the filtering database; read it with FdbReader. Replaced when its size changes. */
  get fdb(): SharedArrayBuffer {
    return this.#fdb
  }

  get settings(): DataPlaneSettings {
    return this.#settings
  }

  /** Resolves when the loop runs. */
  start(): Promise<void> {
    this.#running = this.#spawn()
    return this.#running
  }

  async attach(name: string, spec: () => Omit<EndpointSpec, 'ports'>): Promise<void> {
    this.#endpoints.set(name, { spec })
    this.counters.clearEndpoint(spec().index)
    await this.#command({ type: 'attach', endpoint: { ...spec(), ports: [] } })
  }

  /** After this, nobody uses the transport's descriptors. */
  async detach(name: string): Promise<void> {
    this.#endpoints.delete(name)
    await this.#command({ type: 'detach', name })
    this.#abandonPorts(port => port.endpoint === name)
    this.#forgetFindings(({ subject }) => subject === name)
  }

  /** Resolves when done. While the thread is being replaced, when the next one runs: that one starts from the newer state. */
  async command(command: Command): Promise<void> {
    await this.#command(command)
  }

  /**
   * Changes what holds for one port alone, now and in every data plane to come. Rejects with CommandRefused, having changed
   * nothing, when the data plane cannot do it.
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

  /** Takes settings that the loop's memory was made for: a new thread on the same descriptors, which is not counted a restart. */
  async replace(settings: DataPlaneSettings): Promise<void> {
    if (settings.fdb.maxEntries !== this.#settings.fdb.maxEntries) {
      // A table of another size starts empty: learning again costs each address one flood.
      this.#fdb = new SharedArrayBuffer(Fdb.bytesFor(settings.fdb.maxEntries))
    }
    this.#settings = settings
    // A thread that is just starting was made from the settings before.
    await this.#running
    if (this.#worker === null) return this.#running
    this.#replacing = true
    const worker = this.#worker
    const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()))
    await this.#command({ type: 'hand-over' }).catch(() => worker.terminate())
    await exited
    await this.#running
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
    this.#stopWaiting.abort()
    // A thread that is just starting takes no command yet, and must not be left with descriptors that are closed.
    await this.#running.catch(() => {})
    const worker = this.#worker
    if (worker !== null) {
      const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()))
      await this.#command({ type: 'stop' }).catch(() => worker.terminate())
      await exited
    }
    this.#abandonPorts(() => true)
    this.#waker.close()
  }

  async #spawn(): Promise<void> {
    const { port1, port2 } = new MessageChannel()
    const init: WorkerInit = {
      settings: { ...this.#settings, fdb: { ...this.#settings.fdb, hashSeed: randomBytes(4).readInt32LE() } },
      shape: this.counters.shape,
      counters: this.counters.buffer,
      fdb: this.#fdb,
      wakeFd: this.#waker.readFd,
      endpoints: [...this.#endpoints.values()].map(({ spec }) => this.#withPorts(spec())),
      findings: [...this.#findings.values()],
    }
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: { init, port: port2 },
      transferList: [port2],
      name: 'dataplane',
    })
    this.#port = port1
    this.#startedAt = Date.now()
    worker.on('error', error => this.#log.error({ err: String(error.stack ?? error) }, 'the data plane failed'))
    await new Promise<void>((resolve, reject) => {
      port1.on('message', (event: Event) => {
        if (event.type === 'started') {
          this.#worker = worker
          resolve()
        }
        this.#receive(event)
      })
      worker.once('exit', () => {
        reject(new Error('the data plane ended while starting'))
        this.#exited(port1)
      })
    })
  }

  #withPorts(spec: Omit<EndpointSpec, 'ports'>): EndpointSpec {
    const ports = [...this.ports.values()].filter(port => port.endpoint === spec.name)
    return {
      ...spec,
      ports: ports.map(({ index, id, givenName: name, up, peer, restore, settings }) => {
        return { index, id, name, up, peer, restore, settings }
      }),
    }
  }

  /** The thread is gone, by its own fault or ours. Nothing it said may be lost: the next one is made from it. */
  #exited(port: MessagePort): void {
    for (let last = receiveMessageOnPort(port); last !== undefined; last = receiveMessageOnPort(port)) {
      this.#receive(last.message as Event)
    }
    port.close()
    closeAll(this.#privateDescriptors)
    this.#privateDescriptors = []
    this.#worker = null
    this.#port = null
    for (const { resolve, timer } of this.#replies.values()) {
      clearTimeout(timer)
      resolve()
    }
    this.#replies.clear()
    if (this.#stopping) return
    if (this.#replacing) this.#replacing = false
    else this.#countDeath()
    const waitMs = RESTART_DELAYS_MS[Math.min(this.#deaths, RESTART_DELAYS_MS.length - 1)]
    this.#running = delay(waitMs, undefined, { signal: this.#stopWaiting.signal })
      .catch(() => {})
      .then(() => this.#respawn())
  }

  async #respawn(): Promise<void> {
    if (this.#stopping) return
    try {
      await this.#spawn()
      this.emit('restarted', this.restarts)
    } catch (error) {
      // #exited has arranged for the next attempt.
      this.#log.error({ err: String(error) }, 'the data plane could not be restarted')
    }
  }

  /** Ports whose thread died before it could close them. */
  #abandonPorts(isAbandoned: (port: PortRecord) => boolean): void {
    for (const port of [...this.ports.values()].filter(isAbandoned)) {
      closeAll(port.descriptors ?? [])
      this.#receive({ type: 'port-removed', index: port.index, id: port.id, at: this.#clock() })
    }
  }

  #countDeath(): void {
    this.restarts++
    this.#deaths = Date.now() - this.#startedAt < STABLE_MS ? this.#deaths + 1 : 0
    this.#log.error({ restarts: this.restarts }, 'the data plane died and is being replaced')
  }

  #receive(event: Event): void {
    switch (event.type) {
      case 'opened':
        this.#privateDescriptors = event.descriptors
        return
      case 'started':
        return
      case 'reply':
        this.#settle(event.id, event.error)
        return
      case 'port-added': {
        const { index, id, name, transport, kind, staticAddresses } = event
        // A name that its owner needs now is given back by whoever borrowed it.
        for (const port of this.ports.values()) if (port.name === name) port.name = port.givenName
        this.ports.set(index, {
          ...{ index, id, name, givenName: name, endpoint: transport, kind },
          ...{ up: false, peer: null, restore: null, since: Date.now() },
          settings: { enabled: true, policy: {}, staticAddresses },
        })
        break
      }
      case 'port-up':
      case 'port-down': {
        const port = this.ports.get(event.index)
        if (port !== undefined) {
          Object.assign(port, {
            up: event.type === 'port-up',
            peer: event.peer,
            restore: event.restore,
            descriptors: event.descriptors ?? [],
            since: Date.now(),
          })
        }
        break
      }
      case 'port-restore': {
        const port = this.ports.get(event.index)
        if (port !== undefined) port.restore = event.restore
        return
      }
      case 'port-removed':
        this.emit('event', event)
        this.ports.delete(event.index)
        this.#forgetFindings(({ subject }) => subject === event.index)
        return
      case 'finding':
        this.#noteFinding(event)
        break
    }
    this.emit('event', event)
  }

  #noteFinding({ subject, owner, code, raised }: FindingEvent): void {
    const key = `${typeof subject} ${subject} ${code}`
    if (raised) this.#findings.set(key, { subject, owner, code })
    else this.#findings.delete(key)
  }

  #forgetFindings(isGone: (finding: RaisedFinding) => boolean): void {
    for (const [key, finding] of this.#findings) if (isGone(finding)) this.#findings.delete(key)
  }

  #command(command: Command): Promise<void> {
    // A thread that is starting was made from the state before; it takes what came since once it runs.
    const port = this.#port
    if (port === null) return this.#running
    const id = this.#nextRequest++
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#replies.delete(id)
        reject(new Error(`the data plane did not answer '${command.type}' in ${REPLY_TIMEOUT_MS / 1000} s`))
      }, REPLY_TIMEOUT_MS)
      this.#replies.set(id, { resolve, reject, timer })
      port.postMessage({ id, command } satisfies Request)
      wake(this.#waker.writeFd)
    })
  }

  #settle(id: number, error: string | null): void {
    const waiting = this.#replies.get(id)
    if (waiting === undefined) return
    this.#replies.delete(id)
    clearTimeout(waiting.timer)
    if (error === null) waiting.resolve()
    else waiting.reject(new CommandRefused(error))
  }
}
