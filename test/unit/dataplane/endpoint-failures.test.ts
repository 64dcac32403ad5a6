/** Endpoints that fail, and commands under way when the thread dies, on a data plane in a thread of its own. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { CommandRefused, DataPlane, DataPlaneEnded } from '#src/dataplane/data-plane.js'
import type { Command, EndpointSpec } from '#src/dataplane/messages.js'
import { createOs } from '#src/os/os.js'
import { streamPair } from '#src/os/stream-socket.js'
import { closeSocket } from '#src/os/unix-socket.js'
import { CONNECTED_DATAGRAMS } from '#src/transports/fd/options.js'
import { recordingLogger } from '../../support/recording-logger.js'
import { until } from '../../support/until.js'

const os = createOs()
const policy = { maxFrameSize: 1518, maxEntries: 0, isolated: false, queueFrames: 64 }
const settings = {
  maxFrameSize: 1518,
  bufferBytes: 4 * 1024 * 1024,
  fdb: { ageingMs: 300_000, maxEntries: 64, maxEntriesPerPort: 64, hashSeed: 0 },
}

describe('a data plane with places for two ports', { timeout: 60_000 }, () => {
  let dataPlane: DataPlane
  let descriptors: number[]

  beforeEach(async () => {
    descriptors = []
    dataPlane = new DataPlane(os, settings, { maxPorts: 2, maxEndpoints: 4 }, recordingLogger())
    await dataPlane.start()
  })

  afterEach(async () => {
    await dataPlane.stop()
    for (const fd of descriptors) closeSocket(fd)
  })

  /** One port, on a socket of its own. */
  const onePort = (name: string, index: number): (() => Omit<EndpointSpec, 'ports'>) => {
    const pair = streamPair(os.layout)
    descriptors.push(...pair)
    const options = { fd: pair[1], peer: 'peer', policy, staticAddresses: [] }
    return () => ({ name, kind: CONNECTED_DATAGRAMS, index, options })
  }
  const names = () => [...dataPlane.ports.values()].filter(({ up }) => up).map(({ name }) => name)

  const fill = async () => {
    for (const [index, name] of ['one', 'two'].entries()) await dataPlane.attach(name, onePort(name, index))
  }

  it('refuses a third with the reason, and nothing of it is left', async () => {
    await fill()
    await assert.rejects(dataPlane.attach('three', onePort('three', 2)), (error: Error) => {
      assert.ok(error instanceof CommandRefused)
      return /no place for port "three"/.test(error.message)
    })
    assert.deepEqual([names(), dataPlane.failures.get('three'), dataPlane.restarts], [['one', 'two'], undefined, 0])
  })

  it('keeps a third that is to stay, says so once, and attaches it when there is a place', async () => {
    await fill()
    const failed: string[] = []
    dataPlane.on('endpoint-failed', (name, reason) => failed.push(`${name}: ${reason}`))
    await dataPlane.attach('three', onePort('three', 2), true)
    await until(() => dataPlane.failures.count('three') >= 3, 'it was tried again')
    assert.equal(dataPlane.failures.get('three')?.failed, true)
    assert.equal(failed.length, 1)
    await dataPlane.detach('one')
    await until(() => dataPlane.failures.get('three')?.failed === false, 'it serves')
    assert.deepEqual(names().sort(), ['three', 'two'])
  })

  it('tries one that failed in a thread that starts, and does not fail over it', async () => {
    await fill()
    await dataPlane.attach('three', onePort('three', 2), true)
    await dataPlane.replace({ ...settings, bufferBytes: 8 * 1024 * 1024 })
    assert.deepEqual([names(), dataPlane.failures.get('three')?.failed], [['one', 'two'], true])
  })

  it('rejects what it was asked when its thread dies, and goes on in the next', async () => {
    await fill()
    const restarted = once(dataPlane, 'restarted')
    const dying = dataPlane.command({ type: 'nonsense' } as unknown as Command)
    const flush = dataPlane.command({ type: 'flush', port: null })
    await assert.rejects(dying, DataPlaneEnded)
    await assert.rejects(flush, DataPlaneEnded)
    await restarted
    await dataPlane.command({ type: 'flush', port: null })
    assert.deepEqual(names(), ['one', 'two'])
  })

  it('goes on with the settings before when no thread can be made with the new ones', async () => {
    await fill()
    // More than any ArrayBuffer can be.
    await assert.rejects(dataPlane.replace({ ...settings, bufferBytes: 2 ** 52 }), CommandRefused)
    assert.deepEqual([dataPlane.settings, dataPlane.restarts, dataPlane.trouble()], [settings, 0, undefined])
    await dataPlane.command({ type: 'flush', port: null })
    assert.deepEqual(names(), ['one', 'two'])
  })
})
