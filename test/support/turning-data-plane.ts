/** A data plane in the test's own thread, turn by turn and by its own clock. */
import { DataPlaneThread, type EndpointFactory } from '#src/dataplane/data-plane-thread.js'
import type { Command, EndpointSpec, Event } from '#src/dataplane/messages.js'
import { SharedCounters, SwitchField } from '#src/dataplane/shared-memory.js'
import { closeAll, createOs, type Os } from '#src/os/os.js'
import { wake } from '#src/os/waker.js'
import { Fdb } from '#src/switch/fdb.js'

const MAX_TURNS = 20_000
const MAX_ENTRIES = 1024

export class TurningDataPlane {
  /** Milliseconds; each turn takes some. */
  now = 1000
  /** Everything the data plane said, oldest first. */
  readonly events: Event[] = []
  /** What it answered to commands, oldest first. */
  readonly replies: { error: string | null }[] = []
  readonly os: Os = createOs()
  readonly counters = new SharedCounters({ maxPorts: 16, maxEndpoints: 2 })
  readonly #waker = this.os.createWaker()
  readonly #fdb = new SharedArrayBuffer(Fdb.bytesFor(MAX_ENTRIES))
  readonly #commands: Command[] = []
  readonly #turnMs: number
  readonly #onEvent: (event: Event) => void
  #descriptors: readonly number[] = []
  #thread: DataPlaneThread | null = null

  constructor(turnMs: number, onEvent: (event: Event) => void = () => {}) {
    this.#turnMs = turnMs
    this.#onEvent = onEvent
    this.counters.cells[SwitchField.nextPortId] = 1
  }

  get thread(): DataPlaneThread {
    return this.#thread as DataPlaneThread
  }

  /**
   * In the place of the one before, if there was one: that leaves what it was doing as it is, as a thread that dies.
   */
  start(maxFrameSize: number, endpoints: readonly EndpointSpec[], endpointFactory: EndpointFactory): void {
    closeAll(this.#descriptors)
    this.#thread = new DataPlaneThread({
      os: this.os,
      init: {
        settings: {
          maxFrameSize,
          bufferBytes: 8 * 1024 * 1024,
          fdb: { ageingMs: 300_000, maxEntries: MAX_ENTRIES, maxEntriesPerPort: 256, hashSeed: 1 },
        },
        shape: this.counters.shape,
        counters: this.counters.buffer,
        fdb: this.#fdb,
        wakeFd: this.#waker.readFd,
        endpoints: [...endpoints],
      },
      endpointFactory,
      emit: event => this.#note(event),
      nextCommand: () => {
        const command = this.#commands.shift()
        return command && { id: 0, command }
      },
      clock: () => this.now,
    })
  }

  /** One turn of the loop, which never sleeps: the wake-up descriptor rings before. */
  turn(ms = this.#turnMs): void {
    this.now += ms
    wake(this.#waker.writeFd)
    this.thread.engine.turn()
  }

  /** With the event loop's turn after each, in which others may have something to send. */
  async turns(count: number, ms = this.#turnMs): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.turn(ms)
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    for (let turns = 0; turns < MAX_TURNS; turns++) {
      if (condition()) return
      await this.turns(1)
    }
    throw new Error(`not within ${MAX_TURNS} turns: ${what}`)
  }

  /** Carried out in a turn of its own; `meanwhile` is what comes in after the command, to be seen in the same turn. */
  command(command: Command, meanwhile: () => void = () => {}): void {
    this.#commands.push(command)
    wake(this.#waker.writeFd)
    meanwhile()
    this.turn()
  }

  stop(): void {
    this.command({ type: 'stop' })
    this.release()
  }

  /** After it was stopped, or has handed over. */
  release(): void {
    closeAll(this.#descriptors)
    this.#waker.close()
  }

  #note(event: Event): void {
    this.events.push(event)
    if (event.type === 'reply') this.replies.push({ error: event.error })
    if (event.type === 'opened') this.#descriptors = event.descriptors
    this.#onEvent(event)
  }
}
