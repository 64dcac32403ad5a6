import assert from 'node:assert/strict'
import { closeSync, openSync, readdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { FdConfig } from '#src/config/config.js'
import { DataPlane } from '#src/dataplane/data-plane.js'
import type { EndpointMessage } from '#src/dataplane/messages.js'
import * as libc from '#src/os/libc.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { createOs } from '#src/os/os.js'
import { streamPair } from '#src/os/stream-socket.js'
import { closeSocket, openUnixDatagram } from '#src/os/unix-socket.js'
import { type FdTransport, openFd } from '#src/transports/fd/transport.js'
import type { TransportEvent } from '#src/transports/transport.js'
import { ALICE, BOB, BROADCAST, frame } from '../../support/frames.js'
import { recordingLogger } from '../../support/recording-logger.js'
import { requirements } from '../../support/requires.js'
import { peerOnDescriptor, type StreamPeer } from '../../support/stream-peer.js'
import { until } from '../../support/until.js'

const os = createOs()
const { layout } = os

/** Two datagram sockets that are connected to each other. */
function datagramPair(): [number, number] {
  const pair = new NativeMemory(8)
  assert.equal(libc.socketpair(layout.constants.AF_UNIX, layout.constants.SOCK_DGRAM, 0, pair.address), 0)
  return [pair.words[0] as number, pair.words[1] as number]
}

const buffer = new NativeMemory(2048)

function sendDatagram(fd: number, bytes: Uint8Array): void {
  buffer.bytes.set(bytes)
  assert.equal(libc.send(fd, buffer.address, bytes.length, 0), bytes.length)
}

function receiveDatagram(fd: number): Uint8Array | undefined {
  const length = libc.recv(fd, buffer.address, 2048, layout.constants.MSG_DONTWAIT)
  return length < 0 ? undefined : buffer.bytes.slice(0, length)
}

describe('fd', () => {
  let dataPlane: DataPlane
  let transports: FdTransport[]
  let reports: TransportEvent[]

  beforeEach(async () => {
    const log = recordingLogger()
    const fdb = { ageingMs: 300_000, maxEntries: 64, maxEntriesPerPort: 64, hashSeed: 0 }
    const settings = { maxFrameSize: 1518, bufferBytes: 4 * 1024 * 1024, fdb }
    dataPlane = new DataPlane(os, settings, { maxPorts: 8, maxEndpoints: 4 }, log)
    transports = []
    reports = []
    dataPlane.on('event', event => {
      if (event.type !== 'endpoint') return
      transports.find(({ config }) => config.name === event.name)?.message(event.message)
    })
    await dataPlane.start()
  })

  afterEach(async () => {
    await dataPlane.stop()
    for (const transport of transports) transport.close()
  })

  const config = (name: string, fd: number): FdConfig => {
    const port = { maxFrameSize: 1518, isolated: false, queueFrames: 512, fdb: { maxEntries: 0, static: [] } }
    return { type: 'fd', name, fd, framing: 'qemu', port }
  }

  const context = {
    os,
    send: (_message: EndpointMessage) => {},
    report: (event: TransportEvent) => void reports.push(event),
  }

  const attach = async (name: string, fd: number): Promise<FdTransport> => {
    const transport = await openFd(config(name, fd), context)
    const index = transports.push(transport) - 1
    await dataPlane.attach(name, () => transport.spec(index))
    return transport
  }

  const port = (name: string) => [...dataPlane.ports.values()].find(each => each.name === name)

  it('finds out whether it is a datagram or a stream socket, and moves frames between them', async () => {
    const [ours, theirs] = datagramPair()
    const [oursToo, theirsToo] = streamPair(layout)
    const peer: StreamPeer = peerOnDescriptor(theirsToo)
    try {
      assert.deepEqual((await attach('datagram', ours)).facts(), { socket: 'datagram', connected: true })
      assert.deepEqual((await attach('stream', oursToo)).facts(), { socket: 'stream', connected: true })
      await until(() => port('datagram')?.up === true && port('stream')?.up === true, 'both are up')
      sendDatagram(theirs, frame(BROADCAST, ALICE, 70))
      assert.equal((await peer.receive(1))[0]?.length, 70)
      await peer.send([frame(ALICE, BOB, 80)])
      let received: Uint8Array | undefined
      await until(() => {
        received = receiveDatagram(theirs)
        return received !== undefined
      }, 'the datagram peer has it')
      assert.deepEqual(received, frame(ALICE, BOB, 80))
    } finally {
      closeSocket(theirs)
      peer.leave()
    }
  })

  it('goes on with both when the data plane is replaced', async () => {
    const [ours, theirs] = datagramPair()
    const [oursToo, theirsToo] = streamPair(layout)
    const peer = peerOnDescriptor(theirsToo)
    try {
      await attach('datagram', ours)
      await attach('stream', oursToo)
      await dataPlane.replace({ ...dataPlane.settings, maxFrameSize: 1600 })
      sendDatagram(theirs, frame(BROADCAST, ALICE, 70))
      assert.equal((await peer.receive(1))[0]?.length, 70)
    } finally {
      closeSocket(theirs)
      peer.leave()
    }
  })

  it('takes the port down for good when the other end of a stream is closed, and says so', async () => {
    const [ours, theirs] = streamPair(layout)
    const transport = await attach('stream', ours)
    await until(() => port('stream')?.up === true, 'it is up')
    closeSocket(theirs)
    await until(() => reports.length === 1, 'it is reported')
    assert.equal(reports[0]?.event, 'disconnected')
    assert.equal(port('stream')?.up, false)
    assert.deepEqual(transport.facts(), { socket: 'stream', connected: false })
    await dataPlane.replace({ ...dataPlane.settings, maxFrameSize: 1600 })
    assert.equal(port('stream')?.up, false)
  })

  it('refuses what is no connected socket', requirements({ platform: 'linux' }), async () => {
    const file = openSync('/dev/null', 'r')
    const unconnected = openUnixDatagram(layout)
    try {
      await assert.rejects(openFd(config('a', file), context), /is not an open datagram or stream socket/)
      await assert.rejects(openFd(config('a', unconnected), context), /not connected; connect it first/)
      await assert.rejects(openFd(config('a', 60_000), context), /is not an open datagram or stream socket/)
    } finally {
      closeSync(file)
      closeSocket(unconnected)
    }
  })

  it('closes its descriptor', requirements({ platform: 'linux' }), async () => {
    const [ours, theirs] = streamPair(layout)
    const before = readdirSync('/proc/self/fd').length
    const transport = await openFd(config('a', ours), context)
    transport.close()
    transport.close()
    assert.equal(readdirSync('/proc/self/fd').length, before - 1)
    closeSocket(theirs)
  })
})
