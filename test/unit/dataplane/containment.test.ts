/**
 * An endpoint that throws, in each of its methods in turn, beside a neighbour that must not lose a frame. The data
 * plane is the real one, in this thread; the endpoints are the real ones, on real sockets; only the method under test
 * is replaced, by one that throws.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Endpoint } from '#src/dataplane/endpoint.js'
import { createEndpoint } from '#src/dataplane/endpoint-kinds.js'
import type { EndpointSpec, Event } from '#src/dataplane/messages.js'
import { PortRecords } from '#src/dataplane/port-records.js'
import * as libc from '#src/os/libc.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { createOs } from '#src/os/os.js'
import { streamPair } from '#src/os/stream-socket.js'
import { closeSocket } from '#src/os/unix-socket.js'
import { CONNECTED_DATAGRAMS } from '#src/transports/fd/options.js'
import { MEMORY, MemoryEndpoint, MemoryMedium, type MemoryPeer } from '#src/transports/memory.js'
import { STREAM } from '#src/transports/stream/options.js'
import { BROADCAST, frame } from '../../support/frames.js'
import { numbered, numberOf } from '../../support/numbered.js'
import { TurningDataPlane } from '../../support/turning-data-plane.js'
import { type Method, udpVictim, unixgramVictim, type Victim, vxlanVictim } from '../../support/victims.js'

const policy = { maxFrameSize: 1518, maxEntries: 0, isolated: false, queueFrames: 64 }
const ALICE = '02:00:00:00:00:0a'
const BOB = '02:00:00:00:00:0b'
const MALLORY = '02:00:00:00:00:0c'

const os = createOs()
const { MSG_DONTWAIT, MSG_NOSIGNAL } = os.layout.constants

function sendOn(fd: number, bytes: Uint8Array): void {
  const memory = new NativeMemory(bytes.length)
  memory.bytes.set(bytes)
  libc.send(fd, memory.address, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL)
}

const datagramMethods = [
  'receive',
  'transmit',
  'fault',
  'gone',
  'egressDescriptor',
  'tick',
  'message',
  'handOver',
  'unfinished',
] as const

const victims: Record<string, { open: () => Victim; methods: readonly Method[] }> = {
  memory: {
    open: () => {
      const medium = new MemoryMedium(os)
      const peer = medium.peer('mallory')
      return {
        spec: { name: 'victim', kind: MEMORY, index: 1, options: { medium, policy } },
        send: bytes => peer.send(bytes),
        close: () => medium.close(),
      }
    },
    methods: ['receive', 'transmit', 'fault', 'gone', 'egressDescriptor', 'tick', 'message', 'handOver', 'unfinished'],
  },
  'a stream': {
    open: () => {
      const pairs = [streamPair(os.layout)]
      const connection = () => {
        return { id: pairs.length, fd: pairs.at(-1)?.[1], portName: 'victim:1', peer: 'mallory' }
      }
      const prefix = (length: number) => Buffer.from([0, 0, length >> 8, length & 255])
      return {
        get spec() {
          const connections = [connection()]
          const socket = { bufferBytes: 0, keepAliveSeconds: 0 }
          const common = { policy, staticAddresses: [], framing: 'qemu', socket }
          const options = { mode: 'given', portKind: 'websocket', ...common, lasting: [], connections }
          return { name: 'victim', kind: STREAM, index: 1, options }
        },
        renew: () => {
          pairs.push(streamPair(os.layout))
          return { type: 'give', connection: connection() }
        },
        send: bytes => sendOn(pairs.at(-1)?.[0] ?? -1, Buffer.concat([prefix(bytes.length), bytes])),
        close: () => {
          for (const fd of pairs.flat()) closeSocket(fd)
        },
      }
    },
    methods: [
      'receiveInPlace',
      'transmit',
      'fault',
      'gone',
      'egressDescriptor',
      'tick',
      'message',
      'handOver',
      'unfinished',
    ],
  },
  'unixgram for many': { open: () => unixgramVictim('many'), methods: datagramMethods },
  'unixgram for one': { open: () => unixgramVictim('one'), methods: datagramMethods },
  udp: { open: udpVictim, methods: datagramMethods },
  vxlan: { open: vxlanVictim, methods: datagramMethods },
  'a connected socket': {
    open: () => {
      const [ours, theirs] = streamPair(os.layout)
      return {
        spec: {
          name: 'victim',
          kind: CONNECTED_DATAGRAMS,
          index: 1,
          options: { fd: theirs, peer: 'mallory', policy, staticAddresses: [] },
        },
        send: bytes => sendOn(ours, bytes),
        close: () => {
          for (const fd of [ours, theirs]) closeSocket(fd)
        },
      }
    },
    methods: datagramMethods,
  },
}

/** What makes the loop call the method, beside the frames that each way carries anyway. */
const provoke: Partial<Record<Method, (endpoint: Endpoint) => void>> = {
  fault: endpoint => {
    endpoint.transmit = () => -5
  },
  gone: endpoint => {
    endpoint.transmit = () => -111
    endpoint.fault = () => 3
  },
  egressDescriptor: endpoint => {
    endpoint.transmit = () => -11
    endpoint.fault = () => 0
  },
  unfinished: endpoint => {
    endpoint.transmit = () => 0
  },
}

describe('an endpoint that throws', { timeout: 60_000 }, () => {
  let medium: MemoryMedium
  let alice: MemoryPeer
  let bob: MemoryPeer
  let victim: Victim
  let dataPlane: TurningDataPlane
  let records: PortRecords
  let published: Event[]
  let endpoint: Endpoint
  let sent: number

  beforeEach(() => {
    medium = new MemoryMedium(os)
    alice = medium.peer('alice')
    bob = medium.peer('bob')
    published = []
    sent = 0
    records = new PortRecords(event => void published.push(event))
    dataPlane = new TurningDataPlane(1, event => void records.take(event))
  })

  afterEach(() => {
    dataPlane.stop()
    victim.close()
    medium.close()
  })

  const neighbours = (): Omit<EndpointSpec, 'ports'> => {
    return { name: 'neighbours', kind: MEMORY, index: 0, options: { medium, policy } }
  }
  const specs = () => [neighbours(), victim.spec].map(spec => ({ ...spec, ports: records.restored(spec.name) }))
  const make: Parameters<TurningDataPlane['start']>[2] = (spec, host) => {
    const made = spec.kind === MEMORY ? new MemoryEndpoint(spec, host) : createEndpoint(spec, host)
    if (spec.name === 'victim') endpoint = made
    return made
  }
  const failures = () => dataPlane.events.filter(({ type }) => type === 'endpoint-failed')
  const attachAgain = () =>
    dataPlane.command({ type: 'attach', endpoint: { ...victim.spec, ports: records.restored('victim') } })
  const portOfVictim = () => [...records.byIndex.values()].find(({ endpoint: owner }) => owner === 'victim')

  /** Alice sends to Bob, and a broadcast that goes to the victim too. */
  const traffic = (turns: number) => {
    for (let turn = 0; turn < turns; turn++) {
      alice.send(numbered(BOB, ALICE, ++sent))
      alice.send(numbered(BROADCAST, ALICE, ++sent))
      dataPlane.turn()
    }
  }

  for (const [kind, { open, methods }] of Object.entries(victims)) {
    for (const method of methods) {
      it(`in ${method}: ${kind} is detached and made anew, and the neighbours lose nothing`, () => {
        victim = open()
        dataPlane.start(1518, specs(), make)
        bob.send(frame(BROADCAST, BOB))
        victim.send(frame(BROADCAST, MALLORY))
        traffic(4)
        const port = portOfVictim()
        assert.equal(port?.up, true)
        const free = dataPlane.thread.pool.free

        provoke[method]?.(endpoint)
        endpoint[method] = () => {
          throw new Error(`injected into ${method}`)
        }
        victim.send(frame(BOB, MALLORY))
        traffic(2)
        if (method === 'message') dataPlane.command({ type: 'endpoint', name: 'victim', message: { type: 'any' } })
        if (method === 'tick') dataPlane.turn(2000)
        if (method === 'handOver') dataPlane.thread.handOver()
        traffic(4)

        assert.deepEqual(
          failures().map(event => 'reason' in event && event.reason),
          [`${method}: injected into ${method}`],
        )
        assert.deepEqual([port?.up, published.at(-1)?.type], [false, 'port-down'])
        assert.equal(dataPlane.thread.pool.free, free, 'every slot is free again')
        const frames = bob.received.filter(({ length }) => length > 60).map(numberOf)
        assert.deepEqual(
          bob.received.map(numberOf).filter(number => number > 0),
          Array.from({ length: sent }, (_, i) => i + 1),
          `${frames.length} came`,
        )

        attachAgain()
        const ended = dataPlane.events.some(event => event.type === 'endpoint' && event.message.type === 'ended')
        if (ended && victim.renew !== undefined) {
          dataPlane.command({ type: 'endpoint', name: 'victim', message: victim.renew() })
        }
        victim.send(frame(BROADCAST, MALLORY))
        traffic(4)
        const again = portOfVictim()
        assert.deepEqual([again?.id, again?.index, again?.up], [port?.id, port?.index, true])
        assert.equal(failures().length, 1)
        const { transmitFrames } = dataPlane.counters.readPort(port?.index ?? 0)
        traffic(2)
        assert.equal(dataPlane.counters.readPort(port?.index ?? 0).transmitFrames, transmitFrames + 2, 'it is sent to')
      })
    }

    it(`while it is opened or closed: ${kind} is not attached, and leaves nothing`, () => {
      victim = open()
      dataPlane.start(1518, [{ ...neighbours(), ports: [] }], (spec, host) => {
        const made = make(spec, host)
        if (spec.name !== 'victim') return made
        const opens = made.open.bind(made)
        made.open = () => {
          opens()
          throw new Error('injected')
        }
        return made
      })
      dataPlane.command({ type: 'attach', endpoint: { ...victim.spec, ports: [] } })
      assert.deepEqual(dataPlane.replies.at(-1), { error: 'injected' })
      dataPlane.command({ type: 'detach', name: 'victim' })
      assert.deepEqual(dataPlane.replies.at(-1), { error: null })
      bob.send(frame(BROADCAST, BOB))
      traffic(3)
      assert.equal(bob.received.map(numberOf).filter(number => number > 0).length, sent)
    })
  }
})
