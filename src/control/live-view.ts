/** The running switch as others see it: joins the records of the control plane with the counters in shared memory. */
import type { Config } from '../config/config.js'
import { effectiveInterface, isInterface } from '../config/interfaces.js'
import { effectiveTransport } from '../config/transports.js'
import { shown } from '../config/url-secrets.js'
import type { DataPlane, PortRecord } from '../dataplane/data-plane.js'
import { version } from '../version.js'
import type { Attachment, Attachments } from './attachments.js'
import type { FdbView } from './fdb-view.js'
import type { Findings } from './findings.js'
import type { AnyConfig } from './openers.js'
import { effectivePolicy } from './port-policy.js'
import type {
  FdbPageView,
  FdbQuery,
  FindingView,
  InterfaceView,
  PortView,
  SwitchInfo,
  SwitchView,
  TransportView,
} from './view.js'

interface LiveViewParts {
  readonly config: () => Config
  readonly dataPlane: DataPlane
  readonly attachments: Attachments
  readonly findings: Findings
  readonly fdb: FdbView
  /** Lines of the log that were lost since the start. */
  readonly linesDropped: () => number
  /** Events about ports that were left out, beside those that the data plane left out. */
  readonly eventsLeftOut: () => number
}

export class LiveView implements SwitchView {
  readonly #config: () => Config
  readonly #dataPlane: DataPlane
  readonly #attachments: Attachments
  readonly #findings: Findings
  readonly #fdb: FdbView
  readonly #linesDropped: () => number
  readonly #eventsLeftOut: () => number
  readonly #startedAt = new Date().toISOString()

  constructor({ config, dataPlane, attachments, findings, fdb, linesDropped, eventsLeftOut }: LiveViewParts) {
    this.#config = config
    this.#dataPlane = dataPlane
    this.#attachments = attachments
    this.#findings = findings
    this.#fdb = fdb
    this.#linesDropped = linesDropped
    this.#eventsLeftOut = eventsLeftOut
  }

  info(): SwitchInfo {
    const { name, maxFrameSize, maxPorts, bufferBytes, fdb } = this.#config().switch
    const counters = this.#dataPlane.counters.readSwitch()
    counters.eventsSuppressed += this.#eventsLeftOut()
    return {
      name,
      version,
      maxFrameSize,
      startedAt: this.#startedAt,
      ports: this.#dataPlane.ports.size,
      maxPorts,
      bufferBytes,
      fdb: {
        entries: counters.fdbEntries,
        capacity: fdb.maxEntries,
        maxEntriesPerPort: fdb.maxEntriesPerPort,
        ageingSeconds: fdb.ageingSeconds,
      },
      dataplane: { restarts: this.#dataPlane.restarts, alive: this.#dataPlane.trouble() === undefined },
      log: { linesDropped: this.#linesDropped() },
      counters,
    }
  }

  ports(): PortView[] {
    const findings = this.#findings.list()
    return [...this.#dataPlane.ports.values()].map(port => this.#port(port, findings)).sort((a, b) => a.id - b.id)
  }

  port(id: number): PortView | undefined {
    for (const port of this.#dataPlane.ports.values())
      if (port.id === id) return this.#port(port, this.#findings.list())
    return undefined
  }

  transports(): TransportView[] {
    return this.#views('transports')
  }

  interfaces(): InterfaceView[] {
    return this.#views('interfaces')
  }

  fdb(query: FdbQuery): Promise<FdbPageView> {
    return this.#fdb.page(query)
  }

  findings(): { findings: FindingView[]; notListed: number } {
    return { findings: this.#findings.list(), notListed: this.#findings.notListed }
  }

  ready(): boolean {
    const { interfaces, transports } = this.#config()
    const attached = this.#attachments.all()
    if (attached.length !== interfaces.length + transports.length || this.trouble() !== undefined) return false
    return (
      attached.length === 0 || attached.some(({ transport }) => this.#state(transport.config.name).state === 'serving')
    )
  }

  trouble(): string | undefined {
    return this.#dataPlane.trouble()
  }

  #views(side: Attachment['side']): TransportView[] {
    const ports = [...this.#dataPlane.ports.values()]
    const findings = this.#findings.list()
    return this.#attachments
      .all()
      .filter(attachment => attachment.side === side)
      .map(({ index, transport }) => ({
        name: transport.config.name,
        kind: transport.config.type,
        listen: transport.where,
        facts: transport.facts?.() ?? {},
        config: shown(effectiveEntry(transport.config)) as Record<string, unknown>,
        forwards: transport.forwards?.() ?? null,
        ports: ports.filter(port => port.endpoint === transport.config.name).length,
        ...this.#state(transport.config.name),
        drops: this.#dataPlane.counters.readEndpoint(index),
        findings: findings.filter(({ subject }) => subject.kind !== 'port' && subject.name === transport.config.name),
      }))
  }

  #state(name: string): Pick<TransportView, 'state' | 'reason' | 'failures'> {
    const failure = this.#dataPlane.failures.get(name)
    const failures = this.#attachments.failures.count(name)
    return failure?.failed === true
      ? { state: 'failed', reason: failure.reason, failures }
      : { state: 'serving', reason: null, failures }
  }

  #port(port: PortRecord, findings: readonly FindingView[]): PortView {
    const attachment = this.#attachments.get(port.endpoint)
    const policy = effectivePolicy(port, attachment)
    return {
      id: port.id,
      name: port.name,
      transport: port.endpoint,
      kind: port.kind,
      peer: port.peer,
      up: port.up && port.settings.enabled,
      enabled: port.settings.enabled,
      maxFrameSize: policy.maxFrameSize,
      isolated: policy.isolated,
      queueFrames: policy.queueFrames,
      mirrors: policy.mirrors?.length ? policy.mirrors : null,
      mode: modeOf(attachment),
      maxEntries: policy.maxEntries,
      since: new Date(port.since).toISOString(),
      findings: findings.filter(({ subject }) => subject.kind === 'port' && subject.name === port.name),
      counters: this.#dataPlane.counters.readPort(port.index),
    }
  }
}

function modeOf(attachment: Attachment | undefined): string | null {
  if (attachment?.side !== 'interfaces') return null
  const mode = attachment.transport.facts?.().mode
  return typeof mode === 'string' ? mode : null
}

function effectiveEntry(config: AnyConfig): Record<string, unknown> {
  return isInterface(config) ? effectiveInterface(config) : effectiveTransport(config)
}
