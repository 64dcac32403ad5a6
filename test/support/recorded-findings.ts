import type { FindingCode } from '#src/finding-codes.js'
import type { OwnFindings } from '#src/transports/transport.js'

/** The findings of a transport that stands alone: those that are raised now, and how often each was. */
export class RecordedFindings implements OwnFindings {
  /** By code: the newest message. */
  readonly now = new Map<FindingCode, string>()
  /** By code: calls of `raise`, those of findings that have ended included. */
  readonly raises = new Map<FindingCode, number>()

  raise({ code, message }: { readonly code: FindingCode; readonly message: string }): void {
    this.now.set(code, message)
    this.raises.set(code, (this.raises.get(code) ?? 0) + 1)
  }

  clear(code: FindingCode): void {
    this.now.delete(code)
  }
}
