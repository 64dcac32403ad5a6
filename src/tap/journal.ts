/**
 * What this process changed on the machine, so that it can be changed back: by the process itself when an interface is
 * closed, or by the next start after SIGKILL or a crash.
 *
 *     <records>/tap-<pid>.json    { process: { pid, startTime, bootId }, steps: [...] }
 *
 * Each step is in the file before it is done. A start reads the files of all other processes in the records folder
 * (records.ts); where the process is dead, it takes the steps back, the last one first, and removes the file. After a
 * reboot there is nothing to take back. What ends by itself with the process needs no entry: a TAP that is not
 * persistent, its addresses and routes, its place in a bridge, and dnsmasq, whose supervisor ends with our pipe.
 *
 * Some changes serve several interfaces: forwarding, and a bridge that we made. They are held; the last holder takes
 * them back.
 *
 * Once root is given up the process can neither change these things back nor write the file. The file stays, and the
 * next start as root takes back what is in it.
 */
import { readdirSync } from 'node:fs'
import { OperatorError } from '../errors.js'
import type { Logger } from '../log.js'
import type { PrivateFolder } from '../os/private-folder.js'
import { isAlive, isOfThisBoot, type ProcessIdentity, processIdentity } from './process-identity.js'
import { recordsFolder } from './records.js'
import { type UndoStep, undo } from './undo.js'
import { parseRecord, type UndoRecord } from './undo-record.js'

const FILE = /^tap-([1-9]\d{0,9})\.json$/

interface Hold {
  holders: number
  readonly taken: Promise<UndoStep | null>
}

export class UndoJournal {
  readonly #runtimeDir: string
  readonly #folder: PrivateFolder
  readonly #log: Logger
  readonly #file: string
  readonly #process: ProcessIdentity
  #steps: UndoStep[] = []
  #toldOfLeft = false
  readonly #holds = new Map<string, Hold>()

  constructor(runtimeDir: string, log: Logger, folder: PrivateFolder = recordsFolder(runtimeDir)) {
    this.#runtimeDir = runtimeDir
    this.#folder = folder
    this.#log = log
    this.#file = `tap-${process.pid}.json`
    this.#process = processIdentity(process.pid) as ProcessIdentity
  }

  /**
   * Takes back what dead processes left. A step that cannot be taken back is logged, and not tried again. Throws
   * OperatorError, before anything is taken back, where a record is not one of ours.
   */
  async recover(): Promise<void> {
    if (!this.#folder.isOurs) return
    this.#warnOfStrangeRecords()
    const left = this.#folder
      .names()
      .filter(name => FILE.test(name))
      .map(name => ({ name, record: this.#read(name) }))
    for (const { name, record } of left) {
      if (record === undefined || isAlive(record.process)) continue
      if (isOfThisBoot(record.process)) {
        for (const step of record.steps.toReversed()) await this.#undo(step, 'left by a switch that was killed')
      }
      this.#folder.remove(name)
    }
    if (this.#steps.length === 0) this.#folder.removeIfEmpty()
  }

  /** Notes a step; call it before the step is done. Throws OperatorError when it cannot be noted. */
  add(step: UndoStep): void {
    if (!this.#folder.isOurs) {
      throw new OperatorError(
        'this needs root, whose rights are given up (process.user); add it to the file, and restart',
      )
    }
    this.#steps.push(step)
    this.#write()
  }

  /** Takes it back, and forgets it. Never throws: what cannot be taken back is logged. */
  async takeBack(step: UndoStep): Promise<void> {
    if (!this.#folder.isOurs) {
      if (!this.#toldOfLeft)
        this.#log.info("root's rights are given up: the next start as root takes back what was changed on this machine")
      this.#toldOfLeft = true
      return
    }
    await this.#undo(step, 'taken back')
    this.forget(step)
  }

  /** Forgets a step that was not done. */
  forget(step: UndoStep): void {
    this.#steps = this.#steps.filter(each => each !== step)
    this.#write()
  }

  /**
   * `take` is called for the first holder: it makes the change and returns the step, or null when there was nothing to
   * change.
   */
  async hold(key: string, take: () => Promise<UndoStep | null>): Promise<void> {
    let hold = this.#holds.get(key)
    if (hold === undefined) {
      hold = { holders: 0, taken: take() }
      this.#holds.set(key, hold)
    }
    hold.holders++
    try {
      await hold.taken
    } catch (error) {
      if (--hold.holders === 0) this.#holds.delete(key)
      throw error
    }
  }

  /** The last holder takes the change back. */
  async release(key: string): Promise<void> {
    const hold = this.#holds.get(key)
    if (hold === undefined || --hold.holders > 0) return
    this.#holds.delete(key)
    const step = await hold.taken
    if (step !== null) await this.takeBack(step)
  }

  /** Undefined where another start was quicker. */
  #read(name: string): UndoRecord | undefined {
    const text = this.#folder.read(name)
    if (text === undefined) return undefined
    const record = parseRecord(text, this.#runtimeDir)
    if (record === undefined || `tap-${record.process.pid}.json` !== name) {
      const path = `${this.#folder.path}/${name}`
      throw new OperatorError(`"${path}" is not a record that this program wrote; remove it, and start again`)
    }
    return record
  }

  /** Root's records are not in the runtime directory, which may belong to another user. Version 0.1 had them there. */
  #warnOfStrangeRecords(): void {
    if (this.#folder.path === this.#runtimeDir) return
    for (const name of readdirSync(this.#runtimeDir).filter(each => FILE.test(each))) {
      const path = `${this.#runtimeDir}/${name}`
      const message =
        'a record in the runtime directory is not used, because another user could have written it; remove it'
      this.#log.warn({ path, records: this.#folder.path }, message)
    }
  }

  #write(): void {
    if (!this.#folder.isOurs) return
    if (this.#steps.length === 0) {
      this.#folder.remove(this.#file)
      this.#folder.removeIfEmpty()
      return
    }
    const record: UndoRecord = { process: this.#process, steps: this.#steps }
    this.#folder.write(this.#file, JSON.stringify(record, null, 2))
  }

  async #undo(step: UndoStep, why: string): Promise<void> {
    try {
      await undo(step)
      this.#log.debug({ step: step.kind, netns: step.netns }, why)
    } catch (error) {
      this.#log.warn({ ...step, err: (error as Error).message }, 'a change to this machine could not be taken back')
    }
  }
}

const journals = new Map<string, UndoJournal>()

/** One for each runtime directory of this process. */
export function journalIn(runtimeDir: string, log: Logger): UndoJournal {
  let journal = journals.get(runtimeDir)
  if (journal === undefined) {
    journal = new UndoJournal(runtimeDir, log)
    journals.set(runtimeDir, journal)
  }
  return journal
}
