/** A switch in the test's own thread, turn by turn and by its own clock, with two stations behind vmnet interfaces of the stand-in. */
import { DataPlaneThread } from '#src/dataplane/data-plane-thread.js'
import type { Command, Event } from '#src/dataplane/messages.js'
import { type PortCounters, SharedCounters, SwitchField } from '#src/dataplane/shared-memory.js'
import { closeAll, createOs } from '#src/os/os.js'
import { type Waker, wake } from '#src/os/waker.js'
import { Fdb } from '#src/switch/fdb.js'
import { VmnetEndpoint } from '#src/vmnet/endpoint.js'
import { VMNET, type VmnetEndpointOptions } from '#src/vmnet/endpoint-options.js'
import { VmnetInterface } from '#src/vmnet/vmnet-interface.js'
import { frame } from '../../support/frames.js'
import type { Standin } from '../../support/vmnet-standin.js'

const MAX_ENTRIES = 64
export const ONE = '02:00:00:00:00:01'
export const TWO = '02:00:00:00:00:02'

export class TurningRig {
  /** Milliseconds; each turn takes a tenth. */
  now = 1000
  readonly messages: Record<string, unknown>[] = []
  readonly #standin: Standin
  readonly #interfaces: VmnetInterface[] = []
  readonly #numbers: number[] = []
  readonly #wakers: Waker[] = []
  readonly #os = createOs()
  readonly #wake = this.#os.createWaker()
  readonly #counters = new SharedCounters({ maxPorts: 4, maxEndpoints: 2 })
  readonly #commands: Command[] = []
  #descriptors: readonly number[] = []
  #thread: DataPlaneThread | null = null

  constructor(standin: Standin) {
    this.#standin = standin
    this.#counters.cells[SwitchField.nextPortId] = 1
  }

  /** Both stations are known when this resolves. */
  async start(mtu = 1500, maxFrameSize = 1518): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const started = await VmnetInterface.start({ mode: 'host', mtu })
      this.#interfaces.push(started)
      this.#numbers.push(this.#standin.lastInterface)
      const waker = this.#os.createWaker()
      this.#wakers.push(waker)
      started.notify(() => wake(waker.writeFd))
    }
    this.#spawn(maxFrameSize)
    for (const [i, [to, from]] of [
      [ONE, ONE],
      [TWO, TWO],
    ].entries())
      this.inject(i, frame(to, from))
    await this.until(() => [0, 1].every(i => this.counters(i).receiveDrops['same-port'] === 1))
  }

  get thread(): DataPlaneThread {
    return this.#thread as DataPlaneThread
  }

  inject(station: number, bytes: Uint8Array, times = 1): void {
    this.#standin.inject(bytes, { number: this.#numbers[station] as number, times })
  }

  take(station: number): Buffer | undefined {
    return this.#standin.take(this.#numbers[station] as number)
  }

  count(what: 'reads' | 'writes' | 'events' | 'waiting', station: number): number {
    return this.#standin.count(what, this.#numbers[station] as number)
  }

  counters(station: number): PortCounters {
    return this.#counters.readPort(station)
  }

  turn(ms = 0.1): void {
    this.now += ms
    // It never sleeps: this descriptor rings in every turn.
    wake(this.#wake.writeFd)
    this.thread.engine.turn()
  }

  /** Turns, with the event loop's turn in between, in which events arrive. */
  async turns(count: number, ms = 0.1): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.turn(ms)
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  async until(condition: () => boolean, limit = 20_000): Promise<void> {
    for (let i = 0; i < limit; i++) {
      if (condition()) return
      await this.turns(1)
    }
    throw new Error(`not within ${limit} turns`)
  }

  command(command: Command): void {
    this.#commands.push(command)
    this.turn()
  }

  async stop(): Promise<void> {
    this.command({ type: 'stop' })
    closeAll(this.#descriptors)
    for (const each of this.#interfaces) await each.stop()
    for (const waker of [...this.#wakers, this.#wake]) waker.close()
  }

  #spawn(maxFrameSize: number): void {
    const policy = { maxFrameSize, maxEntries: 0, isolated: false, queueFrames: 256 }
    const endpoints = this.#interfaces.map((each, index) => {
      const options: VmnetEndpointOptions = {
        policy,
        staticAddresses: [],
        library: each.libraryPath,
        reference: each.reference,
        peer: 'host',
        maxPacketSize: each.maxPacketSize,
        readMaxPackets: each.readMaxPackets,
        writeMaxPackets: each.writeMaxPackets,
        readFd: this.#wakers[index]?.readFd as number,
        writeFd: this.#wakers[index]?.writeFd as number,
      }
      return { name: `vm${index}`, kind: VMNET, index, options, ports: [] }
    })
    this.#thread = new DataPlaneThread({
      os: this.#os,
      init: {
        settings: {
          maxFrameSize,
          bufferBytes: 4 * 1024 * 1024,
          fdb: { ageingMs: 300_000, maxEntries: MAX_ENTRIES, maxEntriesPerPort: 16, hashSeed: 1 },
        },
        shape: this.#counters.shape,
        counters: this.#counters.buffer,
        fdb: new SharedArrayBuffer(Fdb.bytesFor(MAX_ENTRIES)),
        wakeFd: this.#wake.readFd,
        endpoints,
      },
      endpointFactory: (spec, host) => new VmnetEndpoint(spec, host),
      emit: event => this.#note(event),
      nextCommand: () => {
        const command = this.#commands.shift()
        return command && { id: 0, command }
      },
      clock: () => this.now,
    })
  }

  #note(event: Event): void {
    if (event.type === 'opened') this.#descriptors = event.descriptors
    if (event.type === 'endpoint') this.messages.push({ ...event.message })
  }
}
