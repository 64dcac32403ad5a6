/**
 * A stream that fails, or is replaced, while it dials or just when it has connected: it alone fails, and no descriptor
 * is left open.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import type { Endpoint } from '#src/dataplane/endpoint.js'
import { createEndpoint } from '#src/dataplane/endpoint-kinds.js'
import { PortRecords } from '#src/dataplane/port-records.js'
import { createOs } from '#src/os/os.js'
import { encodeInetAddress } from '#src/os/sockaddr-in.js'
import { literalAddress } from '#src/transports/inet-text.js'
import { MEMORY, MemoryEndpoint, MemoryMedium } from '#src/transports/memory.js'
import { STREAM } from '#src/transports/stream/options.js'
import { BROADCAST, frame } from '../../support/frames.js'
import { numbered, numberOf } from '../../support/numbered.js'
import { requirements } from '../../support/requires.js'
import { TurningDataPlane } from '../../support/turning-data-plane.js'

const policy = { maxFrameSize: 1518, maxEntries: 0, isolated: false, queueFrames: 64 }
const ALICE = '02:00:00:00:00:0a'
const BOB = '02:00:00:00:00:0b'
const os = createOs()

const openDescriptors = () => readdirSync('/proc/self/fd').length

describe('a stream that dials', { ...requirements({ platform: 'linux' }), timeout: 60_000 }, () => {
  let server: Server
  let address: Uint8Array
  const accepted = new Set<Socket>()

  before(async () => {
    server = createServer(socket => accepted.add(socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    address = encodeInetAddress(os.layout, literalAddress(`127.0.0.1:${(server.address() as AddressInfo).port}`))
  })
  after(() => server.close())

  const faults: Record<string, (dataPlane: TurningDataPlane, endpoint: Endpoint) => void> = {
    'fails in tick while it dials': (dataPlane, endpoint) => {
      endpoint.tick = () => {
        throw new Error('injected')
      }
      endpoint.connected = () => {}
      dataPlane.turn(2000)
    },
    'fails when it has connected': (dataPlane, endpoint) => {
      endpoint.connected = () => {
        throw new Error('injected')
      }
      dataPlane.turn()
    },
    'is replaced while it dials': dataPlane => dataPlane.thread.handOver(),
    'is closed while it dials': dataPlane => dataPlane.command({ type: 'detach', name: 'victim' }),
  }

  for (const [what, happen] of Object.entries(faults)) {
    it(`and ${what}: closes its socket, and the neighbours lose nothing`, async () => {
      const medium = new MemoryMedium(os)
      const [alice, bob] = [medium.peer('alice'), medium.peer('bob')]
      const records = new PortRecords(() => {})
      const dataPlane = new TurningDataPlane(1, event => void records.take(event))
      let endpoint: Endpoint | undefined
      const options = {
        mode: 'connect',
        policy,
        staticAddresses: [],
        framing: 'qemu',
        socket: { bufferBytes: 0, keepAliveSeconds: 0 },
      }
      dataPlane.start(
        1518,
        [
          { name: 'neighbours', kind: MEMORY, index: 0, options: { medium, policy }, ports: [] },
          { name: 'victim', kind: STREAM, index: 1, options, ports: [] },
        ],
        (spec, host) => {
          if (spec.kind === MEMORY) return new MemoryEndpoint(spec, host)
          endpoint = createEndpoint(spec, host)
          return endpoint
        },
      )
      try {
        bob.send(frame(BROADCAST, BOB))
        let sent = 0
        const traffic = () => {
          for (let i = 0; i < 4; i++) {
            alice.send(numbered(BOB, ALICE, ++sent))
            dataPlane.turn()
          }
        }
        traffic()
        const before = openDescriptors()
        const dial = { type: 'dial', family: os.layout.inet.AF_INET, address, peer: 'server' }
        // The connection is being made when the command is carried out; the kernel says that it is made in the next
        // turn.
        endpoint?.message(dial)
        assert.equal(openDescriptors(), before + 1)
        happen(dataPlane, endpoint as Endpoint)
        assert.equal(openDescriptors(), before, 'its socket is closed')
        traffic()
        assert.deepEqual(
          bob.received.map(numberOf).filter(number => number > 0),
          Array.from({ length: sent }, (_, i) => i + 1),
        )
      } finally {
        dataPlane.stop()
        medium.close()
        for (const socket of accepted) socket.destroy()
      }
    })
  }
})
