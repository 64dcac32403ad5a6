/**
 * The control plane: opens what the configuration names, hands it to the data plane, keeps what is known about it, and
 * changes it while it runs. It lives on the main thread and never touches a frame.
 */
import type { Side } from '../config/change.js'
import type { Config } from '../config/config.js'
import { ConfigFile } from '../config/config-file.js'
import { interfaceClaims, isInterface } from '../config/interfaces.js'
import { transportClaims } from '../config/transports.js'
import { usedBy } from '../config/used-files.js'
import { CommandRefused, DataPlane } from '../dataplane/data-plane.js'
import { peerDescriptors } from '../dataplane/descriptor-budget.js'
import type { DataPlaneSettings } from '../dataplane/messages.js'
import { SwitchField } from '../dataplane/shared-memory.js'
import { OperatorError } from '../errors.js'
import type { Logger } from '../log.js'
import { createOs } from '../os/os.js'
import { limitOf } from '../os/sandbox/limits.js'
import { UpgradeRoutes } from '../upgrade-routes.js'
import { Attachments, maxAttachments } from './attachments.js'
import { Captures } from './captures.js'
import { needsNewThread, settingsOf } from './data-plane-settings.js'
import { EventBus, type EventFeed } from './event-bus.js'
import { EventLog } from './event-log.js'
import { publishDataPlane } from './event-source.js'
import { FdbView } from './fdb-view.js'
import { type FileSandbox, noSandbox } from './file-sandbox.js'
import { watchDataPlane } from './finding-source.js'
import { Findings } from './findings.js'
import { LiveControl } from './live-control.js'
import { LiveView } from './live-view.js'
import { missingMemory } from './memory-check.js'
import type { AnyConfig } from './openers.js'
import { PortChurn } from './port-churn.js'
import { ensureRuntimeDir } from './runtime-dir.js'
import { saveConfig } from './save-config.js'
import { Refused, type SaveReport, type SwitchControl } from './switch-control.js'
import type { SwitchView } from './view.js'

export interface ReloadReport {
  /** Names of transports and interfaces. */
  added: string[]
  removed: string[]
  kept: string[]
  changed: string[]
  /** Options that only a restart of the program changes. */
  needsRestart: string[]
}

interface Entry {
  side: Side
  config: AnyConfig
}

/** What a reload does with each transport and interface that is not simply kept. */
interface Plan {
  fresh: Entry[]
  updated: Entry[]
  reopened: Entry[]
}

export interface ControlPlaneOptions {
  /** Paths of the HTTP server, for transports. */
  readonly upgrades?: UpgradeRoutes
  /** Where the configuration came from, to be written on request. */
  readonly file?: ConfigFile
  /** Lines of the log that were lost since the start. */
  readonly linesDropped?: () => number
  /** Entered before anything is opened. Default: none. */
  readonly sandbox?: FileSandbox
}

export class ControlPlane {
  readonly view: SwitchView
  readonly captures: Captures
  readonly control: SwitchControl
  readonly events: EventFeed
  readonly findings: Findings
  #config: Config
  readonly #file: ConfigFile
  readonly #sandbox: FileSandbox
  readonly #bus = new EventBus()
  readonly #dataPlane: DataPlane
  readonly #attachments: Attachments
  readonly #churn: PortChurn
  readonly #endWatching: () => void
  readonly #removeRuntimeDir: () => void
  /** Changes follow each other; this is the last of them. */
  #change: Promise<unknown> = Promise.resolve()
  #stopped: Promise<void> | null = null

  /** Opens everything. Throws OperatorError, with nothing left behind, when something cannot be. */
  static async start(config: Config, log: Logger, options: ControlPlaneOptions = {}): Promise<ControlPlane> {
    const missing = missingMemory(settingsOf(config))
    if (missing !== undefined) throw new OperatorError(missing)
    const control = new ControlPlane(config, log, options)
    try {
      await control.#sandbox.enter()
      await control.#dataPlane.start()
      for (const { side, config: entry } of entriesOf(config)) await control.#attachments.add(side, entry, true)
    } catch (error) {
      await control.stop()
      throw error
    }
    return control
  }

  private constructor(config: Config, log: Logger, options: ControlPlaneOptions) {
    const { upgrades = new UpgradeRoutes(), file = new ConfigFile(config.file), linesDropped = () => 0 } = options
    const { sandbox = noSandbox } = options
    this.#config = config
    this.#file = file
    this.#sandbox = sandbox
    this.events = this.#bus
    const os = createOs()
    this.#removeRuntimeDir = ensureRuntimeDir(config.runtimeDir, config.process?.uid)
    const shape = { maxPorts: config.switch.maxPorts, maxEndpoints: maxAttachments }
    this.#dataPlane = new DataPlane(os, settingsOf(config), shape, log)
    this.#dataPlane.counters.cells[SwitchField.peerDescriptors] = peerDescriptors(limitOf('descriptors').soft)
    this.#dataPlane.on('restarted', restarts => log.warn({ restarts }, 'the data plane runs again'))
    this.#churn = new PortChurn({ log, bus: this.#bus })
    publishDataPlane(this.#dataPlane, this.#bus, new EventLog(log, this.#dataPlane), this.#churn)
    this.findings = new Findings({
      log,
      bus: this.#bus,
      portName: given => {
        for (const { givenName, name } of this.#dataPlane.ports.values()) if (givenName === given) return name
        return given
      },
    })
    this.#endWatching = watchDataPlane(this.#dataPlane, this.findings, {
      switchName: () => this.#config.switch.name,
      isInterface: name => this.#attachments.get(name)?.side === 'interfaces',
    })
    this.#attachments = new Attachments({
      findings: this.findings,
      os,
      log,
      runtimeDir: config.runtimeDir,
      account: config.process,
      dataPlane: this.#dataPlane,
      upgrades,
      bus: this.#bus,
      switchName: () => this.#config.switch.name,
    })
    this.captures = new Captures(os, this.#dataPlane)
    const fdb = new FdbView(this.#dataPlane)
    this.view = new LiveView({
      config: () => this.#config,
      dataPlane: this.#dataPlane,
      attachments: this.#attachments,
      findings: this.findings,
      fdb,
      linesDropped,
      eventsLeftOut: () => this.#churn.suppressed,
    })
    this.control = new LiveControl({
      config: () => this.#config,
      dataPlane: this.#dataPlane,
      attachments: this.#attachments,
      fdb,
      bus: this.#bus,
      inTurn: task => this.#inTurn(task),
      apply: next => this.#apply(next),
      sandbox,
      save: written => this.#save(written),
    })
  }

  /** The configuration in force. */
  get config(): Config {
    return this.#config
  }

  /**
   * Brings the switch to a new configuration. Transports and interfaces that did not change are not touched, nor are
   * their VMs. New ones are opened before anything else is done; if one cannot be, nothing has changed and
   * OperatorError is thrown. One that has to be closed to be changed, and then cannot be opened, is put back as it was.
   */
  reload(next: Config): Promise<ReloadReport> {
    return this.change(() => next)
  }

  /**
   * The same for a configuration made from the one in force. Changes are served one after the other, so `make` sees
   * what the change before it left. What `make` throws leaves everything as it is.
   */
  change(make: (current: Config) => Config): Promise<ReloadReport> {
    return this.#inTurn(() => this.#apply(make(this.#config)))
  }

  #inTurn<Result>(task: () => Promise<Result>): Promise<Result> {
    const done = this.#change.then(task)
    this.#change = done.catch(() => {})
    return done
  }

  /** Idempotent. After it, no socket file of ours is left. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    await this.#change
    await this.captures.stopAll()
    await this.#dataPlane.stop()
    await this.#attachments.closeAll()
    this.#endWatching()
    this.#churn.close()
    this.#removeRuntimeDir()
  }

  async #apply(next: Config): Promise<ReloadReport> {
    const report: ReloadReport = { added: [], removed: [], kept: [], changed: [], needsRestart: [] }
    const outside = this.#sandbox.fault([...next.interfaces, ...next.transports].flatMap(usedBy))
    if (outside !== undefined) throw new OperatorError(outside)
    if (needsNewThread(settingsOf(next), this.#dataPlane.settings)) {
      const missing = missingMemory(settingsOf(next))
      if (missing !== undefined) throw new Refused('not-enough-memory', `${missing}; nothing was changed.`)
    }
    const plan = this.#plan(next, report)
    const opened = await this.#attachments.openAll(plan.fresh.map(({ config }) => config))
    await this.#attachments.exchange(
      report.removed,
      opened.map((transport, i) => ({ side: plan.fresh[i].side, transport })),
    )
    for (const { config } of plan.updated) await this.#attachments.update(config)
    try {
      await this.#applySwitch(next, report)
    } catch (error) {
      this.#config = this.#asOpened(this.#config)
      throw error
    }
    const { maxPorts } = this.#config.switch
    this.#config = {
      ...next,
      switch: { ...next.switch, maxPorts },
      runtimeDir: this.#config.runtimeDir,
      http: this.#config.http,
    }
    try {
      for (const { side, config } of plan.reopened) await this.#attachments.reopen(side, config)
    } catch (error) {
      this.#config = this.#asOpened(this.#config)
      throw error
    }
    return report
  }

  /** With the transports and interfaces that are open, as they are. */
  #asOpened(config: Config): Config {
    const open = (side: Side) =>
      this.#attachments.all().flatMap(({ side: own, transport }) => (own === side ? [transport.config] : []))
    return {
      ...config,
      transports: open('transports') as Config['transports'],
      interfaces: open('interfaces') as Config['interfaces'],
    }
  }

  /** What is in the file now holds for whole transports, and for single ports no longer. */
  async #save(written: ReadonlyMap<string, unknown>): Promise<SaveReport> {
    const parts = { config: this.#config, dataPlane: this.#dataPlane, attachments: this.#attachments }
    const { report, saved } = saveConfig({ file: this.#file, written, ...parts })
    const before = new Map(entriesOf(this.#config).map(({ config }) => [config.name, config]))
    this.#config = saved
    for (const { config } of entriesOf(saved)) {
      if (before.get(config.name) === config) continue
      await this.#attachments.update(config)
      for (const port of this.#dataPlane.ports.values()) {
        if (port.endpoint === config.name) await this.#dataPlane.setPort(port, { ...port.settings, policy: {} })
      }
    }
    return report
  }

  async #replaceThread(settings: DataPlaneSettings): Promise<void> {
    try {
      await this.#dataPlane.replace(settings)
    } catch (error) {
      if (!(error instanceof CommandRefused)) throw error
      throw new Refused('not-enough-memory', `${error.message}. The switch goes on with the settings before.`)
    }
  }

  #plan(next: Config, report: ReloadReport): Plan {
    const plan: Plan = { fresh: [], updated: [], reopened: [] }
    const entries = entriesOf(next)
    const names = new Set(entries.map(({ config }) => config.name))
    const running = this.#attachments.all().map(({ transport }) => transport.config)
    const claimed = new Set(running.flatMap(claimsOf))
    report.removed.push(...running.map(({ name }) => name).filter(name => !names.has(name)))
    for (const entry of entries) {
      const { config } = entry
      const before = this.#attachments.get(config.name)
      if (before === undefined) {
        // What another gives up in this same reload, a path or a device, is free only after that one is closed.
        ;(claimsOf(config).some(claim => claimed.has(claim)) ? plan.reopened : plan.fresh).push(entry)
        report.added.push(config.name)
      } else if (before.side === entry.side && JSON.stringify(before.transport.config) === JSON.stringify(config)) {
        report.kept.push(config.name)
      } else {
        const stays = before.side === entry.side && this.#attachments.canBecome(config)
        ;(stays ? plan.updated : plan.reopened).push(entry)
        report.changed.push(config.name)
      }
    }
    return plan
  }

  async #applySwitch(next: Config, report: ReloadReport): Promise<void> {
    const before = this.#config
    if (next.switch.maxPorts !== before.switch.maxPorts) report.needsRestart.push('switch.maxPorts')
    if (next.runtimeDir !== before.runtimeDir) report.needsRestart.push('runtimeDir')
    if (JSON.stringify(next.http) !== JSON.stringify(before.http)) report.needsRestart.push('http')
    const settings = settingsOf(next)
    const { maxFrameSize, fdb } = settings
    if (needsNewThread(settings, this.#dataPlane.settings)) {
      await this.#replaceThread(settings)
      return
    }
    this.#dataPlane.adopt(settings)
    const { ageingMs, maxEntriesPerPort } = fdb
    await this.#dataPlane.command({ type: 'set-limits', maxFrameSize, ageingMs, maxEntriesPerPort })
  }
}

function entriesOf({ interfaces, transports }: Config): Entry[] {
  return [
    ...interfaces.map(config => ({ side: 'interfaces' as const, config })),
    ...transports.map(config => ({ side: 'transports' as const, config })),
  ]
}

function claimsOf(config: AnyConfig): readonly string[] {
  return isInterface(config) ? interfaceClaims(config) : transportClaims(config)
}
