/** The host's end of the protocol that test/support/guest/agent.c describes. */

import type { Readable, Writable } from 'node:stream'

export interface CommandResult {
  /** stdout and stderr together, as the guest wrote them. */
  output: string
  /** Exit code, or 128 + the signal that ended the command. */
  status: number
}

interface Pending {
  resolve(result: CommandResult): void
  reject(error: Error): void
  timer: NodeJS.Timeout
}

export class GuestAgent {
  readonly ready: Promise<void>
  readonly #toGuest: Writable
  readonly #pending = new Map<number, Pending>()
  #received = Buffer.alloc(0)
  #nextId = 1
  #ended: Error | undefined
  #becomeReady: () => void = () => {}
  #failReady: (error: Error) => void = () => {}

  constructor(fromGuest: Readable, toGuest: Writable) {
    this.#toGuest = toGuest
    this.ready = new Promise((resolve, reject) => {
      this.#becomeReady = resolve
      this.#failReady = reject
    })
    this.ready.catch(() => {})
    fromGuest.on('data', (bytes: Buffer) => this.#receive(bytes))
    toGuest.on('error', error => this.fail(error))
  }

  /**
   * Several commands may run at once. Rejects when the time is over (the guest then kills the command) or the VM ends.
   */
  run(command: string, timeoutMs: number): Promise<CommandResult> {
    if (this.#ended) return Promise.reject(this.#ended)
    const id = this.#nextId++
    const bytes = Buffer.from(command)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(id, command, timeoutMs), timeoutMs)
      this.#pending.set(id, { resolve, reject, timer })
      this.#toGuest.write(Buffer.concat([Buffer.from(`run ${id} ${bytes.length}\n`), bytes]))
    })
  }

  /** The VM is gone: nothing that waits will be answered. */
  fail(error: Error): void {
    this.#ended ??= error
    this.#failReady(error)
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer)
      reject(error)
    }
    this.#pending.clear()
  }

  #giveUp(id: number, command: string, timeoutMs: number): void {
    this.#toGuest.write(`kill ${id}\n`)
    this.#pending.get(id)?.reject(new Error(`no answer in ${timeoutMs} ms to: ${command}`))
    this.#pending.delete(id)
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes])
    for (let taken = this.#takeMessage(); taken > 0; taken = this.#takeMessage())
      this.#received = this.#received.subarray(taken)
  }

  /** Handles the first message received. Returns its length in bytes; 0 while it is not complete. */
  #takeMessage(): number {
    const lineEnd = this.#received.indexOf('\n')
    if (lineEnd < 0) return 0
    const line = this.#received.toString('latin1', 0, lineEnd)
    const done = /done (\d+) (\d+) (\d+)$/.exec(line)
    if (!done) {
      // Before the agent opens the port, firmware may have written to it.
      if (line.endsWith('ready')) this.#becomeReady()
      return lineEnd + 1
    }
    const [id, status, length] = done.slice(1).map(Number) as [number, number, number]
    const end = lineEnd + 1 + length
    if (this.#received.length < end) return 0
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    clearTimeout(pending?.timer)
    pending?.resolve({ output: this.#received.toString('utf8', lineEnd + 1, end), status })
    return end
  }
}
