/**
 * What we changed on this machine, so that it can be changed back: by us when an interface is closed, or by the next start after a
 * death that nobody could do anything about (SIGKILL, power).
 *
 *     <runtimeDir>/tap-<pid>.json    { process: { pid, startTime, bootId }, steps: [...] }
 *
 * Each step is in the file before it is done. A start reads the files of all other processes in its runtime directory; where the
 * process is dead, it takes the steps back, the last one first, and removes the file. After a reboot there is nothing to take
 * back. What ends by itself with the process needs no entry: a TAP that is not persistent, its addresses and routes, its place in a
 * bridge, and dnsmasq, which the kernel kills with us.
 *
 * Some changes serve several interfaces: forwarding, and a bridge that we made. They are held; the last holder takes them back.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '../log.js'
import { isAlive, isOfThisBoot, type ProcessIdentity, processIdentity } from './process-identity.js'
import { type UndoStep, undo } from './undo.js'

const FILE = /^tap-(\d+)\.json$/

interface State {
  readonly process: ProcessIdentity
  readonly steps: readonly UndoStep[]
}

interface Hold {
  holders: number
  readonly taken: Promise<UndoStep | null>
}

export class UndoJournal {
  readonly #folder: string
  readonly #log: Logger
  readonly #file: string
  readonly #process: ProcessIdentity
  #steps: UndoStep[] = []
  readonly #holds = new Map<string, Hold>()

  constructor(runtimeDir: string, log: Logger) {
    this.#folder = runtimeDir
    this.#log = log
    this.#file = join(runtimeDir, `tap-${process.pid}.json`)
    this.#process = processIdentity(process.pid) as ProcessIdentity
  }

  /** Takes back what dead processes left. A step that cannot be taken back is logged, and not tried again. */
  async recover(): Promise<void> {
    for (const name of readdirSync(this.#folder)) {
      if (!FILE.test(name)) continue
      const state = this.#read(join(this.#folder, name))
      if (state === undefined || isAlive(state.process)) continue
      if (isOfThisBoot(state.process)) {
        for (const step of state.steps.toReversed()) await this.#undo(step, 'left by a switch that was killed')
      }
      rmSync(join(this.#folder, name), { force: true })
    }
  }

  /** Notes a step; call it before the step is done. */
  add(step: UndoStep): void {
    this.#steps.push(step)
    this.#write()
  }

  /** Takes it back, and forgets it. Never throws: what cannot be taken back is logged. */
  async takeBack(step: UndoStep): Promise<void> {
    await this.#undo(step, 'taken back')
    this.forget(step)
  }

  /** It was not done after all. */
  forget(step: UndoStep): void {
    this.#steps = this.#steps.filter(each => each !== step)
    this.#write()
  }

  /** `take` is called for the first holder: it makes the change and returns the step, or null when there was nothing to change. */
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

  #read(path: string): State | undefined {
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as State
    } catch {
      // Another start was quicker.
      return undefined
    }
  }

  #write(): void {
    if (this.#steps.length === 0) {
      rmSync(this.#file, { force: true })
      return
    }
    const state: State = { process: this.#process, steps: this.#steps }
    const beside = `${this.#file}.new`
    writeFileSync(beside, JSON.stringify(state, null, 2), { mode: 0o600 })
    renameSync(beside, this.#file)
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
