/**
 * The control plane: opens what the configuration names, hands it to the data plane, keeps what is known about it, and
 * changes it while it runs. It lives on the main thread and never touches a frame.
 */
import type { Side } from '../config/change.js'
import type { Config } from '../config/config.js'
import { interfaceClaims, isInterface } from '../config/interfaces.js'
import { transportClaims } from '../config/transports.js'
import { DataPlane } from '../dataplane/data-plane.js'
import type { DataPlaneSettings } from '../dataplane/messages.js'
import type { Logger } from '../log.js'
import { createOs } from '../os/os.js'
import { UpgradeRoutes } from '../upgrade-routes.js'
import { Attachments, maxAttachments } from './attachments.js'
import { Captures } from './captures.js'
import { EventLog } from './event-log.js'
import { LiveView } from './live-view.js'
import type { AnyConfig } from './openers.js'
import { ensureRuntimeDir } from './runtime-dir.js'
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

export class ControlPlane {
  readonly view: SwitchView
  readonly captures: Captures
  #config: Config
  readonly #dataPlane: DataPlane
  readonly #attachments: Attachments
  readonly #removeRuntimeDir: () => void
  /** Changes follow each other; this is the last of them. */
  #change: Promise<unknown> = Promise.resolve()
  #stopped: Promise<void> | null = null

  /** Opens everything. Throws OperatorError, with nothing left behind, when something cannot be. */
  static async start(config: Config, log: Logger, upgrades = new UpgradeRoutes()): Promise<ControlPlane> {
    const control = new ControlPlane(config, log, upgrades)
    try {
      await control.#dataPlane.start()
      for (const { side, config: entry } of entriesOf(config)) await control.#attachments.add(side, entry)
    } catch (error) {
      await control.stop()
      throw error
    }
    return control
  }

  private constructor(config: Config, log: Logger, upgrades: UpgradeRoutes) {
    this.#config = config
    const os = createOs()
    this.#removeRuntimeDir = ensureRuntimeDir(config.runtimeDir)
    const shape = { maxPorts: config.switch.maxPorts, maxEndpoints: maxAttachments }
    this.#dataPlane = new DataPlane(os, settingsOf(config), shape, log)
    const events = new EventLog(log, this.#dataPlane)
    this.#dataPlane.on('event', event => events.write(event))
    this.#dataPlane.on('restarted', restarts => log.warn({ restarts }, 'the data plane runs again'))
    this.#attachments = new Attachments({
      os,
      log,
      runtimeDir: config.runtimeDir,
      dataPlane: this.#dataPlane,
      upgrades,
      switchName: () => this.#config.switch.name,
    })
    this.captures = new Captures(os, this.#dataPlane)
    this.view = new LiveView(() => this.#config, this.#dataPlane, this.#attachments)
  }

  /** The configuration in force. */
  get config(): Config {
    return this.#config
  }

  /**
   * Brings the switch to a new configuration. Transports and interfaces that did not change are not touched, nor are their VMs.
   * New ones are opened before anything else is done; if one cannot be, nothing has changed and OperatorError is thrown. One that
   * has to be closed to be changed, and then cannot be opened, is put back as it was.
   */
  reload(next: Config): Promise<ReloadReport> {
    return this.change(() => next)
  }

  /**
   * The same for a configuration made from the one in force. Changes are served one after the other, so `make` sees what the
   * change before it left. What `make` throws leaves everything as it is.
   */
  change(make: (current: Config) => Config): Promise<ReloadReport> {
    const change = this.#change.then(() => this.#apply(make(this.#config)))
    this.#change = change.catch(() => {})
    return change
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
    this.#removeRuntimeDir()
  }

  async #apply(next: Config): Promise<ReloadReport> {
    const report: ReloadReport = { added: [], removed: [], kept: [], changed: [], needsRestart: [] }
    const plan = this.#plan(next, report)
    const opened = await this.#attachments.openAll(plan.fresh.map(({ config }) => config))
    for (const name of report.removed) await this.#attachments.remove(name)
    for (const [i, transport] of opened.entries()) await this.#attachments.attach(plan.fresh[i].side, transport)
    for (const { config } of plan.updated) await this.#attachments.update(config)
    await this.#applySwitch(next, report)
    const { maxPorts } = this.#config.switch
    this.#config = {
      ...next,
      switch: { ...next.switch, maxPorts },
      runtimeDir: this.#config.runtimeDir,
      http: this.#config.http,
    }
    for (const { side, config } of plan.reopened) await this.#attachments.reopen(side, config)
    return report
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

function settingsOf({ switch: { maxFrameSize, bufferBytes, fdb } }: Config): DataPlaneSettings {
  const { ageingSeconds, maxEntries, maxEntriesPerPort } = fdb
  // The data plane draws a new seed for each of its lives.
  return {
    maxFrameSize,
    bufferBytes,
    fdb: { ageingMs: ageingSeconds * 1000, maxEntries, maxEntriesPerPort, hashSeed: 0 },
  }
}
