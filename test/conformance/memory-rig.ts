/** A switch in the test's own thread, with the in-memory transport and a clock that the turns drive. */
import assert from 'node:assert/strict'
import type { PortRecord } from '#src/dataplane/data-plane.js'
import type { Event } from '#src/dataplane/messages.js'
import type { PortCounters } from '#src/dataplane/shared-memory.js'
import { MEMORY, MemoryEndpoint, MemoryMedium, type MemoryOptions, type MemoryPeer } from '#src/transports/memory.js'
import { frame } from '../support/frames.js'
import { TurningDataPlane } from '../support/turning-data-plane.js'
import { addressOf, type Rig, type RigOptions, type Station } from './rig.js'

export class MemoryRig implements Rig {
  readonly medium: MemoryMedium
  readonly #ports = new Map<number, PortRecord>()
  readonly #options: RigOptions
  readonly #dataPlane = new TurningDataPlane(1, event => this.#note(event))

  constructor(options: RigOptions) {
    this.#options = options
    this.medium = new MemoryMedium(this.#dataPlane.os)
    this.#start()
  }

  async join(number: number): Promise<Station> {
    const peer = this.medium.peer(`vm${number}`)
    peer.send(frame(addressOf(number), addressOf(number)))
    await this.until(`${peer.name} is up`, () => this.#portOf(peer.name)?.up === true)
    return this.#station(peer)
  }

  port(number: number): PortRecord {
    const port = this.#portOf(`vm${number}`)
    assert.ok(port, `station ${number} never joined`)
    return port
  }

  counters(number: number): PortCounters {
    return this.#dataPlane.counters.readPort(this.port(number).index)
  }

  until(what: string, condition: () => boolean): Promise<void> {
    return this.#dataPlane.until(what, condition)
  }

  /** A thread that dies leaves what it was doing as it is; so does this, either way. */
  async replace(): Promise<void> {
    this.#start()
  }

  async stop(): Promise<string[]> {
    this.#dataPlane.stop()
    this.medium.close()
    return []
  }

  #start(): void {
    const { maxFrameSize, queueFrames } = this.#options
    const policy = { maxFrameSize, maxEntries: 0, isolated: false, queueFrames }
    const options: MemoryOptions = { medium: this.medium, policy }
    const spec = { name: 'mem', kind: MEMORY, index: 0, options, ports: [...this.#ports.values()] }
    this.#dataPlane.start(maxFrameSize, [spec], (spec, host) => new MemoryEndpoint(spec, host))
  }

  #note(event: Event): void {
    if (event.type === 'port-added') {
      const { index, id, name, transport, kind, staticAddresses } = event
      const port = {
        ...{ index, id, name, givenName: name, kind, endpoint: transport },
        ...{ up: false, peer: null, restore: null, since: 0 },
        settings: { enabled: true, policy: {}, staticAddresses },
      }
      this.#ports.set(index, port)
    }
    const port = 'index' in event ? this.#ports.get(event.index) : undefined
    if (port !== undefined && (event.type === 'port-up' || event.type === 'port-down')) {
      Object.assign(port, { up: event.type === 'port-up', peer: event.peer, restore: event.restore })
    }
  }

  #portOf(name: string): PortRecord | undefined {
    return [...this.#ports.values()].find(({ restore }) => restore === name)
  }

  #station(peer: MemoryPeer): Station {
    return {
      send: async frames => {
        for (const each of frames) peer.send(each)
      },
      receive: async count => {
        await this.until(`${peer.name} has ${count} frames`, () => peer.received.length >= count)
        return peer.received.splice(0, count)
      },
      stall: () => {
        peer.room = 0
      },
      resume: () => {
        peer.room = Number.POSITIVE_INFINITY
      },
      leave: () => peer.leave(),
    }
  }
}
