/**
 * What is plugged into the switch, transports and interfaces alike: opening them, handing them to the data plane,
 * changing and closing them. One after the other; who calls sees to that.
 */
import type { Side } from '../config/change.js'
import { isInterface } from '../config/interfaces.js'
import { maxInterfaces, maxTransports } from '../config/limits.js'
import { CommandRefused, type DataPlane } from '../dataplane/data-plane.js'
import { DescriptorShare } from '../dataplane/descriptor-budget.js'
import type { Event } from '../dataplane/messages.js'
import { OperatorError } from '../errors.js'
import type { Logger } from '../log.js'
import type { Os } from '../os/os.js'
import { egressPolicy } from '../transports/policy.js'
import type { Transport, TransportContext, TransportEvent } from '../transports/transport.js'
import type { UpgradeRoutes } from '../upgrade-routes.js'
import { AttachmentFailures } from './attachment-failures.js'
import type { EventBus } from './event-bus.js'
import type { FindingSubject, Findings } from './findings.js'
import { InternalFaults } from './internal-faults.js'
import { type AnyConfig, openAttachment } from './openers.js'

/** Rows of counters that are laid out for them at the start. */
export const maxAttachments = maxTransports + maxInterfaces

export interface Attachment {
  /** Row of its counters. */
  readonly index: number
  readonly side: Side
  readonly transport: Transport
}

export interface AttachmentsParts {
  readonly os: Os
  readonly log: Logger
  readonly runtimeDir: string
  readonly account: TransportContext['account']
  readonly dataPlane: DataPlane
  readonly upgrades: UpgradeRoutes
  readonly switchName: () => string
  readonly bus: EventBus
  readonly findings: Findings
}

export class Attachments {
  readonly #parts: AttachmentsParts
  readonly #open = new Map<string, Attachment>()
  readonly failures: AttachmentFailures
  /** Rows of those that are open, or are being opened. */
  readonly #rows = new Map<string, number>()

  constructor(parts: AttachmentsParts) {
    this.#parts = parts
    const internal = new InternalFaults({
      ...parts,
      subject: () => ({ kind: 'switch', name: parts.switchName() }),
      exit: () => process.exit(1),
      now: () => performance.now(),
    })
    this.failures = new AttachmentFailures({
      ...parts,
      internal: error => {
        // In a test the runner has a listener of its own, and the exception is the test's.
        if (process.listenerCount('uncaughtException') === 1) internal.add(error)
      },
      subjectOf: name => ({ kind: this.#open.get(name)?.side === 'interfaces' ? 'interface' : 'transport', name }),
    })
    parts.dataPlane.on('event', event => this.#forward(event))
  }

  get(name: string): Attachment | undefined {
    return this.#open.get(name)
  }

  all(): readonly Attachment[] {
    return [...this.#open.values()]
  }

  /** What is outside the process, all or nothing. Throws OperatorError. */
  async openAll(configs: readonly AnyConfig[]): Promise<Transport[]> {
    const opened: Transport[] = []
    try {
      for (const config of configs) opened.push(await this.#openOne(config))
    } catch (error) {
      for (const transport of opened) {
        await transport.close()
        this.#rows.delete(transport.config.name)
      }
      throw error
    }
    return opened
  }

  /**
   * Hands one that was opened to the data plane. Throws OperatorError when the data plane cannot take it, and it is
   * closed then; with `keep` it stays as one that failed, and is tried again.
   */
  async attach(side: Side, transport: Transport, keep = false): Promise<void> {
    const { name } = transport.config
    const attachment = { index: this.#rows.get(name) ?? this.#takeRow(name), side, transport }
    this.#open.set(name, attachment)
    const spec = () => {
      const spec = transport.spec(attachment.index)
      if (spec === null) throw new Error(`${name} had something to attach, and has it no longer`)
      return spec
    }
    try {
      if (transport.spec(attachment.index) !== null) await this.#parts.dataPlane.attach(name, spec, keep)
    } catch (error) {
      this.#parts.findings.forget(subjectOf(transport.config))
      await transport.close()
      this.#open.delete(name)
      this.#rows.delete(name)
      throw error instanceof CommandRefused ? named(transport.config, error) : error
    }
    this.#publish(side, name, 'added')
  }

  async add(side: Side, config: AnyConfig, keep = false): Promise<void> {
    await this.attach(side, await this.#openOne(config), keep)
  }

  /**
   * Removes some and attaches others, which were opened: all or nothing. When one of these cannot be attached, the
   * others are closed, those that were removed are opened again, and OperatorError is thrown.
   */
  async exchange(removed: readonly string[], opened: readonly { side: Side; transport: Transport }[]): Promise<void> {
    const before = removed.flatMap(name => this.#open.get(name) ?? [])
    for (const name of removed) await this.remove(name)
    for (const [i, { side, transport }] of opened.entries()) {
      try {
        await this.attach(side, transport)
      } catch (error) {
        for (const { transport: later } of opened.slice(i + 1)) {
          await later.close()
          this.#rows.delete(later.config.name)
        }
        for (const { transport: earlier } of opened.slice(0, i)) await this.remove(earlier.config.name)
        for (const { side: own, transport: gone } of before) await this.add(own, gone.config, true)
        throw error
      }
    }
  }

  async remove(name: string): Promise<void> {
    const attachment = this.#open.get(name)
    if (attachment === undefined) return
    if (attachment.transport.spec(attachment.index) !== null) await this.#parts.dataPlane.detach(name)
    await this.failures.run(name, () => attachment.transport.close())
    this.#open.delete(name)
    this.failures.forget(name)
    this.#rows.delete(name)
    this.#parts.findings.forget(subjectOf(attachment.transport.config))
    this.#publish(attachment.side, name, 'removed')
  }

  /** Whether an open one can become this without being closed. */
  canBecome(config: AnyConfig): boolean {
    const transport = this.#open.get(config.name)?.transport
    return transport?.config.type === config.type && transport.canBecome(config)
  }

  async update(config: AnyConfig): Promise<void> {
    const attachment = this.#open.get(config.name)
    if (attachment === undefined) return
    this.failures.run(config.name, () => attachment.transport.update(config))
    this.#publish(attachment.side, config.name, 'changed')
    if (attachment.transport.spec(attachment.index) === null) return
    await this.#parts.dataPlane.command({ type: 'set-policy', name: config.name, policy: egressPolicy(config.port) })
  }

  /** Closes one and opens it as `config` says; puts it back as it was when that fails. */
  async reopen(side: Side, config: AnyConfig): Promise<void> {
    const before = this.#open.get(config.name)?.transport.config
    await this.remove(config.name)
    try {
      await this.add(side, config)
    } catch (error) {
      if (before !== undefined) await this.add(side, before, true)
      throw error
    }
  }

  /** After the data plane has stopped. */
  async closeAll(): Promise<void> {
    const closing = [...this.#open.values()].map(async ({ transport }) => transport.close())
    this.#open.clear()
    this.failures.close()
    this.#rows.clear()
    for (const result of await Promise.allSettled(closing)) {
      if (result.status === 'rejected') this.#parts.log.error({ err: String(result.reason) }, 'not closed cleanly')
    }
  }

  async #openOne(config: AnyConfig): Promise<Transport> {
    try {
      return await this.failures.run(config.name, () => openAttachment(config, this.#contextOf(config)))
    } catch (error) {
      this.#rows.delete(config.name)
      this.#parts.findings.forget(subjectOf(config))
      throw error instanceof OperatorError ? named(config, error) : error
    }
  }

  #contextOf(config: AnyConfig): TransportContext {
    const { name } = config
    const { os, log, runtimeDir, account, dataPlane, upgrades, switchName, findings } = this.#parts
    return {
      os,
      log,
      runtimeDir,
      account,
      upgrades,
      switchName,
      send: message => {
        dataPlane
          .command({ type: 'endpoint', name, message })
          .catch(error => log.error({ transport: name, err: String(error) }, 'the data plane refused'))
      },
      findings: findings.of(subjectOf(config)),
      descriptors: new DescriptorShare(dataPlane.counters, this.#takeRow(name), 'control'),
      report: event => this.#report(name, event),
      contain: callback => this.failures.contain(name, callback),
    }
  }

  #report(name: string, { level, event, message, details }: TransportEvent): void {
    this.#parts.log[level]({ name, event, ...details }, message)
    this.#parts.bus.emit({ type: 'report', source: name, event, level, message, details: details ?? {} })
  }

  #publish(side: Side, name: string, what: 'added' | 'removed' | 'changed'): void {
    this.#parts.bus.emit(
      side === 'interfaces'
        ? { type: `interface-${what}`, interface: name }
        : { type: `transport-${what}`, transport: name },
    )
  }

  #takeRow(name: string): number {
    const used = new Set(this.#rows.values())
    for (let index = 0; index < maxAttachments; index++) {
      if (used.has(index)) continue
      this.#rows.set(name, index)
      return index
    }
    throw new OperatorError(`more than ${maxAttachments} transports and interfaces`)
  }

  #forward(event: Event): void {
    if (event.type !== 'endpoint') return
    const transport = this.#open.get(event.name)?.transport
    if (transport !== undefined) this.failures.contain(event.name, () => transport.message(event.message))
  }
}

function named(config: AnyConfig, error: Error): OperatorError {
  const what = isInterface(config) ? 'interface' : 'transport'
  return new OperatorError(`${what} "${config.name}": ${error.message}`, { cause: error })
}

function subjectOf(config: AnyConfig): FindingSubject {
  return { kind: isInterface(config) ? 'interface' : 'transport', name: config.name }
}
