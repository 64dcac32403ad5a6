/**
 * Findings that begin on the data plane: those that endpoints raise, and those that the filtering database gives reason
 * for.
 */
import type { DataPlane, PortRecord } from '../dataplane/data-plane.js'
import type { Event, FindingEvent } from '../dataplane/messages.js'
import type { FindingSubject, Findings } from './findings.js'

/** Milliseconds between two looks for findings that have been quiet for long enough. */
const EXPIRE_MS = 1000

interface Names {
  readonly switchName: () => string
  /** Whether this attachment is an interface, not a transport. */
  readonly isInterface: (name: string) => boolean
}

/** Returns what ends it. */
export function watchDataPlane(dataPlane: DataPlane, findings: Findings, names: Names): () => void {
  const source = new FindingSource(dataPlane, findings, names)
  const take = (event: Event) => source.take(event)
  dataPlane.on('event', take)
  const timer = setInterval(() => findings.expire(), EXPIRE_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    dataPlane.off('event', take)
  }
}

class FindingSource {
  readonly #dataPlane: DataPlane
  readonly #findings: Findings
  readonly #names: Names

  constructor(dataPlane: DataPlane, findings: Findings, names: Names) {
    this.#dataPlane = dataPlane
    this.#findings = findings
    this.#names = names
  }

  take(event: Event): void {
    switch (event.type) {
      case 'finding':
        this.#fromEndpoint(event)
        return
      case 'mac-flapping':
        this.#duplicate(event.mac, event.from, event.port)
        return
      case 'limit-reached':
        this.#full(event.port)
        return
      case 'port-removed': {
        const port = this.#dataPlane.ports.get(event.index)
        if (port !== undefined) this.#findings.forget(ofPort(port))
      }
    }
  }

  #fromEndpoint({ subject: about, id, code, raised, message, detail, count }: FindingEvent): void {
    const subject = this.#subject(about, id)
    if (subject === undefined) return
    if (raised) this.#findings.raise({ code, subject, message, detail, times: count })
    else this.#findings.clear(code, subject)
  }

  /** Undefined for a port that is gone. */
  #subject(about: string | number | null, id: number | null): FindingSubject | undefined {
    if (about === null) return { kind: 'switch', name: this.#names.switchName() }
    if (typeof about === 'string')
      return { kind: this.#names.isInterface(about) ? 'interface' : 'transport', name: about }
    const port = this.#dataPlane.ports.get(about)
    return port?.id === id ? ofPort(port as PortRecord) : undefined
  }

  /**
   * An address moves to and fro: whichever way it was seen to go, it is one finding, about the port that came later.
   */
  #duplicate(mac: string, from: number, to: number): void {
    const ports = [this.#dataPlane.ports.get(from), this.#dataPlane.ports.get(to)]
    const [first, second] = ports.filter(port => port !== undefined).sort((a, b) => a.id - b.id)
    if (first === undefined || second === undefined) return
    this.#findings.raise({
      code: 'duplicate-mac',
      subject: ofPort(second),
      message: `MAC address ${mac} keeps moving between ports ${first.name} and ${second.name}; give each VM an address of its own, or remove the loop`,
      detail: { mac, port: first.name, otherPort: second.name },
    })
  }

  #full(index: number | null): void {
    const { maxEntries } = this.#dataPlane.settings.fdb
    if (index === null) {
      this.#findings.raise({
        code: 'fdb-full',
        subject: { kind: 'switch', name: this.#names.switchName() },
        message: `the filtering database is full with ${maxEntries} addresses, frames to others are flooded; raise switch.fdb.maxEntries, or limit the port that uses many`,
        detail: { maxEntries },
      })
      return
    }
    const port = this.#dataPlane.ports.get(index)
    if (port === undefined) return
    this.#findings.raise({
      code: 'fdb-port-full',
      subject: ofPort(port),
      message: `port ${port.name} has as many addresses as it may have, frames to its others are flooded; raise port.fdb.maxEntries of ${port.endpoint}, or find out why it uses so many`,
    })
  }
}

function ofPort({ givenName, endpoint }: PortRecord): FindingSubject {
  return { kind: 'port', name: givenName, transport: endpoint }
}
