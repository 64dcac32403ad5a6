/** A switch in the test's own thread, with the in-memory transport and a clock that the turns drive. */
import assert from 'node:assert/strict'
import type { PortRecord } from '#src/dataplane/data-plane.js'
import { DataPlaneThread } from '#src/dataplane/data-plane-thread.js'
import type { Command, Event } from '#src/dataplane/messages.js'
import { type PortCounters, SharedCounters, SwitchField } from '#src/dataplane/shared-memory.js'
import { closeAll, createOs, type Os } from '#src/os/os.js'
import { wake } from '#src/os/waker.js'
import { Fdb } from '#src/switch/fdb.js'
import { MEMORY, MemoryEndpoint, MemoryMedium, type MemoryOptions, type MemoryPeer } from '#src/transports/memory.js'
import { frame } from '../support/frames.js'
import { addressOf, type Rig, type RigOptions, type Station } from './rig.js'

const MAX_TURNS = 20_000
const MAX_ENTRIES = 1024

export class MemoryRig implements Rig {
  readonly medium: MemoryMedium
  /** Everything the data plane said, oldest first. */
  readonly events: Event[] = []
  /** Milliseconds; each turn takes one. */
  now = 1000
  readonly #os: Os = createOs()
  readonly #waker = this.#os.createWaker()
  readonly #counters = new SharedCounters({ maxPorts: 16, maxEndpoints: 1 })
  readonly #fdb = new SharedArrayBuffer(Fdb.bytesFor(MAX_ENTRIES))
  readonly #ports = new Map<number, PortRecord>()
  readonly #commands: Command[] = []
  readonly #options: RigOptions
  #descriptors: readonly number[] = []
  #thread: DataPlaneThread

  constructor(options: RigOptions) {
    this.#options = options
    this.medium = new MemoryMedium(this.#os)
    this.#counters.cells[SwitchField.nextPortId] = 1
    this.#thread = this.#spawn()
  }

  /** One turn of the loop, which never sleeps: the wake-up descriptor rings before. */
  turn(): void {
    this.now++
    wake(this.#waker.writeFd)
    this.#thread.engine.turn()
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
    return this.#counters.readPort(this.port(number).index)
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    for (let turns = 0; turns < MAX_TURNS; turns++) {
      if (condition()) return
      this.turn()
      // Others may have something to send in between.
      await new Promise(resolve => setImmediate(resolve))
    }
    throw new Error(`not within ${MAX_TURNS} turns: ${what}`)
  }

  /** A thread that dies leaves what it was doing as it is; so does this, either way. */
  async replace(): Promise<void> {
    closeAll(this.#descriptors)
    this.#thread = this.#spawn()
  }

  async stop(): Promise<string[]> {
    this.#commands.push({ type: 'stop' })
    this.turn()
    closeAll(this.#descriptors)
    this.#waker.close()
    this.medium.close()
    return []
  }

  #spawn(): DataPlaneThread {
    const { maxFrameSize, queueFrames } = this.#options
    const policy = { maxFrameSize, maxEntries: 0, isolated: false, queueFrames }
    const options: MemoryOptions = { medium: this.medium, policy }
    return new DataPlaneThread({
      os: this.#os,
      init: {
        settings: {
          maxFrameSize,
          bufferBytes: 8 * 1024 * 1024,
          fdb: { ageingMs: 300_000, maxEntries: MAX_ENTRIES, maxEntriesPerPort: 256, hashSeed: 1 },
        },
        shape: this.#counters.shape,
        counters: this.#counters.buffer,
        fdb: this.#fdb,
        wakeFd: this.#waker.readFd,
        endpoints: [{ name: 'mem', kind: MEMORY, index: 0, options, ports: [...this.#ports.values()] }],
      },
      endpointFactory: (spec, host) => new MemoryEndpoint(spec, host),
      emit: event => this.#note(event),
      nextCommand: () => {
        const command = this.#commands.shift()
        return command && { id: 0, command }
      },
      clock: () => this.now,
    })
  }

  #note(event: Event): void {
    this.events.push(event)
    if (event.type === 'opened') this.#descriptors = event.descriptors
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
