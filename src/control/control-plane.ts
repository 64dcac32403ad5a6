/**
 * The control plane: opens what the configuration names, hands it to the data plane, keeps what is known about it, and
 * changes it while it runs. It lives on the main thread and never touches a frame.
 */
import type { Config, TransportConfig } from '../config/config.js'
import { maxTransports } from '../config/limits.js'
import { DataPlane } from '../dataplane/data-plane.js'
import type { DataPlaneSettings, Event } from '../dataplane/messages.js'
import { OperatorError } from '../errors.js'
import type { Logger } from '../log.js'
import { createOs, type Os } from '../os/os.js'
import type { Transport } from '../transports/transport.js'
import { UnixgramTransport } from '../transports/unixgram/transport.js'
import { EventLog } from './event-log.js'
import { LiveView } from './live-view.js'
import { ensureRuntimeDir } from './runtime-dir.js'
import type { SwitchView } from './view.js'

export interface ReloadReport {
  added: string[]
  removed: string[]
  kept: string[]
  changed: string[]
  /** Options that only a restart of the program changes. */
  needsRestart: string[]
}

/** What a reload does with each transport that is not simply kept. */
interface Plan {
  fresh: TransportConfig[]
  updated: TransportConfig[]
  reopened: TransportConfig[]
}

export interface OpenTransport {
  index: number
  transport: Transport
}

export class ControlPlane {
  readonly view: SwitchView
  #config: Config
  readonly #os: Os
  readonly #log: Logger
  readonly #dataPlane: DataPlane
  readonly #transports = new Map<string, OpenTransport>()
  readonly #removeRuntimeDir: () => void
  #stopped: Promise<void> | null = null

  /** Opens everything. Throws OperatorError, with nothing left behind, when something cannot be. */
  static async start(config: Config, log: Logger): Promise<ControlPlane> {
    const control = new ControlPlane(config, log)
    try {
      await control.#dataPlane.start()
      for (const transport of config.transports) await control.#add(transport)
    } catch (error) {
      await control.stop()
      throw error
    }
    return control
  }

  private constructor(config: Config, log: Logger) {
    this.#config = config
    this.#log = log
    this.#os = createOs()
    this.#removeRuntimeDir = ensureRuntimeDir(config.runtimeDir)
    const shape = { maxPorts: config.switch.maxPorts, maxEndpoints: maxTransports }
    this.#dataPlane = new DataPlane(this.#os, settingsOf(config), shape, log)
    const events = new EventLog(log, this.#dataPlane)
    this.#dataPlane.on('event', event => {
      events.write(event)
      this.#forward(event)
    })
    this.#dataPlane.on('restarted', restarts => log.warn({ restarts }, 'the data plane runs again'))
    this.view = new LiveView(() => this.#config, this.#dataPlane, this.#transports)
  }

  /**
   * Brings the switch to a new configuration. Transports that did not change are not touched, nor are their VMs. New ones
   * are opened before anything else is done; if one cannot be, nothing has changed and OperatorError is thrown. A transport that
   * has to be closed to be changed, and then cannot be opened, is put back as it was.
   */
  async reload(next: Config): Promise<ReloadReport> {
    const report: ReloadReport = { added: [], removed: [], kept: [], changed: [], needsRestart: [] }
    const plan = this.#plan(next, report)
    const opened = this.#openAll(plan.fresh)
    for (const name of report.removed) await this.#remove(name)
    for (const transport of opened) await this.#attach(transport)
    for (const config of plan.updated) await this.#update(config)
    await this.#applySwitch(next, report)
    const { maxPorts } = this.#config.switch
    this.#config = {
      ...next,
      switch: { ...next.switch, maxPorts },
      runtimeDir: this.#config.runtimeDir,
      http: this.#config.http,
    }
    for (const config of plan.reopened) await this.#reopen(config)
    return report
  }

  /** Idempotent. After it, no socket file of ours is left. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    await this.#dataPlane.stop()
    for (const { transport } of this.#transports.values()) transport.close()
    this.#transports.clear()
    this.#removeRuntimeDir()
  }

  #plan(next: Config, report: ReloadReport): Plan {
    const plan: Plan = { fresh: [], updated: [], reopened: [] }
    const names = new Set(next.transports.map(({ name }) => name))
    report.removed.push(...[...this.#transports.keys()].filter(name => !names.has(name)))
    const paths = new Set([...this.#transports.values()].map(({ transport }) => transport.where))
    for (const config of next.transports) {
      const transport = this.#transports.get(config.name)?.transport
      if (transport === undefined) {
        // A path that another name gives up in this same reload is free only after that one is closed.
        ;(paths.has(whereOf(config)) ? plan.reopened : plan.fresh).push(config)
        report.added.push(config.name)
      } else if (JSON.stringify(transport.config) === JSON.stringify(config)) {
        report.kept.push(config.name)
      } else {
        ;(transport.canBecome(config) ? plan.updated : plan.reopened).push(config)
        report.changed.push(config.name)
      }
    }
    return plan
  }

  async #update(config: TransportConfig): Promise<void> {
    this.#transports.get(config.name)?.transport.update(config)
    const { maxFrameSize, isolated, queueFrames, fdb } = config.port
    const policy = { maxFrameSize, isolated, queueFrames, maxEntries: fdb.maxEntries }
    await this.#dataPlane.command({ type: 'set-policy', name: config.name, policy })
  }

  async #reopen(config: TransportConfig): Promise<void> {
    const before = this.#transports.get(config.name)?.transport.config
    await this.#remove(config.name)
    try {
      await this.#add(config)
    } catch (error) {
      if (before !== undefined) await this.#add(before)
      throw error
    }
  }

  #openAll(configs: TransportConfig[]): Transport[] {
    const opened: Transport[] = []
    try {
      for (const config of configs) opened.push(this.#open(config))
    } catch (error) {
      for (const transport of opened) transport.close()
      throw error
    }
    return opened
  }

  async #applySwitch(next: Config, report: ReloadReport): Promise<void> {
    const before = this.#config
    if (next.switch.maxPorts !== before.switch.maxPorts) report.needsRestart.push('switch.maxPorts')
    if (next.runtimeDir !== before.runtimeDir) report.needsRestart.push('runtimeDir')
    if (JSON.stringify(next.http) !== JSON.stringify(before.http)) report.needsRestart.push('http')
    const settings = settingsOf(next)
    const { maxFrameSize, bufferBytes, fdb } = settings
    const had = this.#dataPlane.settings
    if (maxFrameSize !== had.maxFrameSize || bufferBytes !== had.bufferBytes || fdb.maxEntries !== had.fdb.maxEntries) {
      await this.#dataPlane.replace(settings)
      return
    }
    this.#dataPlane.adopt(settings)
    const { ageingMs, maxEntriesPerPort } = fdb
    await this.#dataPlane.command({ type: 'set-limits', maxFrameSize, ageingMs, maxEntriesPerPort })
  }

  #open(config: TransportConfig): Transport {
    try {
      return new UnixgramTransport(config, this.#os.layout, this.#log, message => {
        this.#dataPlane
          .command({ type: 'endpoint', name: config.name, message })
          .catch(error => this.#log.error({ transport: config.name, err: String(error) }, 'the data plane refused'))
      })
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error
      throw new OperatorError(`transport "${config.name}": ${error.message}`, { cause: error })
    }
  }

  async #add(config: TransportConfig): Promise<void> {
    await this.#attach(this.#open(config))
  }

  async #attach(transport: Transport): Promise<void> {
    const index = this.#freeIndex()
    this.#transports.set(transport.config.name, { index, transport })
    await this.#dataPlane.attach(transport.config.name, () => transport.spec(index))
  }

  async #remove(name: string): Promise<void> {
    const open = this.#transports.get(name)
    if (open === undefined) return
    await this.#dataPlane.detach(name)
    open.transport.close()
    this.#transports.delete(name)
  }

  #freeIndex(): number {
    const used = new Set([...this.#transports.values()].map(({ index }) => index))
    for (let index = 0; index < maxTransports; index++) if (!used.has(index)) return index
    throw new OperatorError(`more than ${maxTransports} transports`)
  }

  #forward(event: Event): void {
    if (event.type === 'endpoint') this.#transports.get(event.name)?.transport.message(event.message)
  }
}

function settingsOf({ switch: { maxFrameSize, bufferBytes, fdb } }: Config): DataPlaneSettings {
  const { ageingSeconds, maxEntries, maxEntriesPerPort } = fdb
  // The data plane draws a new seed for each of its lives.
  return {
    maxFrameSize,
    bufferBytes,
    fdb: { ageingMs: ageingSeconds * 1000, maxEntries, maxEntriesPerPort, hashSeed: 0 },
  }
}

function whereOf(config: TransportConfig): string {
  return config.role === 'listen' ? config.listen : config.connect.local
}
