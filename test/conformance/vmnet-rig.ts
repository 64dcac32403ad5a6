/** A real data plane in its own thread, and vmnet interfaces of the stand-in with one station behind each. */
import assert from 'node:assert/strict'
import type { VmnetConfig } from '#src/config/interfaces/vmnet.js'
import type { Transport, TransportContext } from '#src/transports/transport.js'
import { openVmnet } from '#src/vmnet/transport.js'
import { until } from '../support/until.js'
import { libraryVariable, Standin, standinLibrary } from '../support/vmnet-standin.js'
import { DataPlaneRig } from './data-plane-rig.js'
import type { Harness, RigOptions, Station } from './rig.js'

/** `mtuFor` gives the interface's MTU for the switch's maxFrameSize. */
export function vmnetHarness(mtuFor: (maxFrameSize: number) => number, oversize: readonly number[]): Harness {
  return {
    runts: [1, 13],
    trueLengths: false,
    oversize,
    noticesDeparture: false,
    start: async options => {
      const rig = new VmnetRig(options, mtuFor(options.maxFrameSize))
      await rig.start()
      return rig
    },
  }
}

interface Behind {
  /** The stand-in's number of the interface. */
  readonly number: number
}

export class VmnetRig extends DataPlaneRig<VmnetConfig> {
  readonly standin: Standin
  readonly #mtu: number
  readonly #behind = new Map<number, Behind>()

  constructor(options: RigOptions, mtu: number) {
    super(options)
    this.#mtu = mtu
    process.env[libraryVariable] = standinLibrary()
    this.standin = new Standin()
    this.standin.control('reset; backend memory; ring 512')
  }

  async join(number: number): Promise<Station> {
    const behind = this.#behind.get(number) ?? (await this.open(number))
    await this.introduce(number, hello => void this.standin.inject(hello, behind))
    return {
      send: frames => this.#send(behind, frames),
      receive: count => this.#receive(behind, count),
      stall: () => {},
      resume: () => {},
      leave: () => {},
    }
  }

  protected openTransport(config: VmnetConfig, context: TransportContext): Promise<Transport<VmnetConfig>> {
    return openVmnet(config, { ...context, send: () => assert.fail('a vmnet endpoint is told nothing') })
  }

  protected dismiss(): Promise<void> {
    return this.standin.nothingLeft()
  }

  /** An interface that nobody has spoken through yet. */
  async open(number: number): Promise<Behind> {
    const name = `vm${number}`
    const vmnet = { mode: 'host', mtu: this.#mtu } as const
    await this.attach({ type: 'vmnet', name, vmnet, forwards: [], port: this.policy })
    const behind = { number: this.standin.lastInterface }
    this.#behind.set(number, behind)
    this.records.set(number, this.portNamed(name))
    await until(() => this.port(number).up, `${name} is up`)
    return behind
  }

  async #send({ number }: Behind, frames: readonly Uint8Array[]): Promise<void> {
    for (const each of frames) {
      if (this.standin.inject(each, { number }) === 1) continue
      await until(() => this.standin.inject(each, { number }) === 1, 'there is room towards the switch')
    }
  }

  async #receive({ number }: Behind, count: number): Promise<Uint8Array[]> {
    const received: Uint8Array[] = []
    await until(() => {
      while (received.length < count) {
        const next = this.standin.take(number)
        if (next === undefined) return false
        received.push(next)
      }
      return true
    }, `${count} frames arrived`)
    return received
  }
}
