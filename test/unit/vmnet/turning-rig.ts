/**
 * A switch in the test's own thread, turn by turn and by its own clock, with two stations behind vmnet interfaces of
 * the stand-in.
 */
import type { DataPlaneThread } from '#src/dataplane/data-plane-thread.js'
import type { Command } from '#src/dataplane/messages.js'
import type { PortCounters } from '#src/dataplane/shared-memory.js'
import { type Waker, wake } from '#src/os/waker.js'
import { VmnetEndpoint } from '#src/vmnet/endpoint.js'
import { VMNET, type VmnetEndpointOptions } from '#src/vmnet/endpoint-options.js'
import { VmnetInterface } from '#src/vmnet/vmnet-interface.js'
import { frame } from '../../support/frames.js'
import { TurningDataPlane } from '../../support/turning-data-plane.js'
import type { Standin } from '../../support/vmnet-standin.js'

export const ONE = '02:00:00:00:00:01'
export const TWO = '02:00:00:00:00:02'

export class TurningRig {
  readonly messages: Record<string, unknown>[] = []
  readonly #standin: Standin
  readonly #interfaces: VmnetInterface[] = []
  readonly #numbers: number[] = []
  readonly #wakers: Waker[] = []
  readonly #dataPlane = new TurningDataPlane(0.1, event => {
    if (event.type === 'endpoint') this.messages.push({ ...event.message })
  })

  constructor(standin: Standin) {
    this.#standin = standin
  }

  /** Both stations are known when this resolves. */
  async start(mtu = 1500, maxFrameSize = 1518): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const started = await VmnetInterface.start({ mode: 'host', mtu })
      this.#interfaces.push(started)
      this.#numbers.push(this.#standin.lastInterface)
      const waker = this.#dataPlane.os.createWaker()
      this.#wakers.push(waker)
      started.notify(() => wake(waker.writeFd))
    }
    this.#startDataPlane(maxFrameSize)
    for (const [i, [to, from]] of [
      [ONE, ONE],
      [TWO, TWO],
    ].entries())
      this.inject(i, frame(to, from))
    await this.until(() => [0, 1].every(i => this.counters(i).receiveDrops['same-port'] === 1))
  }

  get thread(): DataPlaneThread {
    return this.#dataPlane.thread
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
    return this.#dataPlane.counters.readPort(station)
  }

  /** Turns, with the event loop's turn after each, in which events arrive. */
  turns(count: number, ms?: number): Promise<void> {
    return this.#dataPlane.turns(count, ms)
  }

  until(condition: () => boolean): Promise<void> {
    return this.#dataPlane.until('what the test waits for', condition)
  }

  command(command: Command): void {
    this.#dataPlane.command(command)
  }

  async stop(): Promise<void> {
    this.#dataPlane.stop()
    for (const each of this.#interfaces) await each.stop()
    for (const waker of this.#wakers) waker.close()
  }

  #startDataPlane(maxFrameSize: number): void {
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
    this.#dataPlane.start(maxFrameSize, endpoints, (spec, host) => new VmnetEndpoint(spec, host))
  }
}
