/** What the data plane says is wrong, as the main thread keeps it for the next data plane. */
import type { FindingEvent, RaisedFinding } from './messages.js'

export class RaisedFindings {
  readonly #raised = new Map<string, RaisedFinding>()

  all(): RaisedFinding[] {
    return [...this.#raised.values()]
  }

  note({ subject, owner, code, raised }: FindingEvent): void {
    const key = `${typeof subject} ${subject} ${code}`
    if (raised) this.#raised.set(key, { subject, owner, code })
    else this.#raised.delete(key)
  }

  /** An endpoint, by name, or a port, by index, is gone. */
  forget(subject: string | number): void {
    for (const [key, finding] of this.#raised) if (finding.subject === subject) this.#raised.delete(key)
  }
}
