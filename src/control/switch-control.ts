/**
 * What may be changed on a running switch. HTTP knows the switch through this and view.ts only.
 *
 * Every method changes all it was asked to, or nothing: it rejects with `Refused` when what it names is not there or
 * stands in the way, with ConfigError when what is asked for is not valid, and with OperatorError when the machine does
 * not give it. Changes are served one after the other.
 */
import type { Side } from '../config/change.js'
import type { Forward } from '../config/forwards.js'

export type RefusedCode =
  | 'no-such-port'
  | 'no-such-entry'
  | 'no-such-transport'
  | 'no-such-interface'
  | 'no-such-forward'
  | 'no-forwards'
  | 'name-taken'
  | 'address-taken'
  | 'limit-reached'
  | 'not-connected'
  | 'confined'
  | 'cannot-disconnect'
  | 'file-changed'
  | 'not-saved'
  | 'interrupted'
  | 'busy'
  | 'not-enough-memory'

/** What is asked for does not fit what is there. `message` is one sentence. */
export class Refused extends Error {
  readonly code: RefusedCode

  constructor(code: RefusedCode, message: string) {
    super(message)
    this.name = 'Refused'
    this.code = code
  }
}

/** Left out: as it is. Null: as the configuration has it. */
export interface PortChange {
  readonly name?: string | null | undefined
  readonly enabled?: boolean | undefined
  readonly maxFrameSize?: number | null | undefined
  readonly isolated?: boolean | null | undefined
  readonly queueFrames?: number | null | undefined
  /** An empty list makes it an ordinary port. */
  readonly mirrors?: readonly string[] | null | undefined
  readonly maxEntries?: number | null | undefined
}

/** Left out: as it is. */
export interface SwitchChange {
  readonly name?: string | undefined
  readonly maxFrameSize?: number | undefined
  readonly bufferBytes?: number | undefined
  readonly fdb?:
    | {
        readonly ageingSeconds?: number | undefined
        readonly maxEntries?: number | undefined
        readonly maxEntriesPerPort?: number | undefined
      }
    | undefined
}

export interface SaveReport {
  /** Absolute path. */
  file: string
  /** Whether the file had to be written. */
  written: boolean
  /** What a file cannot say, one sentence each. */
  notSaved: string[]
}

export interface SwitchControl {
  changeSwitch(change: SwitchChange): Promise<void>
  changePort(id: number, change: PortChange): Promise<void>
  /** Ends whatever is at the other end of a port; it may come back. */
  disconnectPort(id: number): Promise<void>
  /** Binds an address to a port, given by id or name. Resolves to false when it was bound there before. */
  addStatic(mac: string, port: string): Promise<boolean>
  /** Forgets an address, static or learned. */
  removeEntry(mac: string): Promise<void>
  /** Forgets what was learned, on one port (by id or name) or on all. */
  flush(port: string | null): Promise<void>
  /** Opens a transport or interface, in the form it has in a file. Resolves to its name. */
  add(side: Side, entry: unknown): Promise<string>
  remove(side: Side, name: string): Promise<void>
  /** Of an interface or transport. */
  forwards(side: Side, name: string): readonly Forward[]
  addForward(side: Side, name: string, forward: Forward): Promise<void>
  removeForward(side: Side, name: string, forward: Pick<Forward, 'protocol' | 'host'>): Promise<void>
  /** Writes into the configuration file what was changed while it runs. */
  save(): Promise<SaveReport>
}
