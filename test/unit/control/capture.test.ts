import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { Capture } from '#src/control/capture.js'
import { CaptureFile } from '#src/control/capture-file.js'
import { type CaptureRecord, IN, MAX_CAPTURED_PORTS, OTHER_PORTS } from '#src/dataplane/capture-record.js'
import { sharedClock } from '#src/dataplane/clock.js'
import { closeAll, createOs } from '#src/os/os.js'
import { streamPair } from '#src/os/stream-socket.js'
import { readPcapng } from '../../support/pcapng.js'

const clock = sharedClock()

describe('a capture without frames', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setInterval'] }))
  afterEach(() => mock.timers.reset())

  it('writes an empty block now and then, so that no proxy closes the connection', async () => {
    const capture = new Capture({
      id: 1,
      options: { portId: null, snapLength: 100, filter: '', seconds: 60, maxBytes: 1e6 },
      program: null,
      ends: streamPair(createOs().layout),
      closeDescriptor: fd => closeAll([fd]),
      start: async () => {},
      stop: async () => [],
      portLabel: () => undefined,
      clock,
      application: 'test',
    })
    const read = () => (capture.file.read() as Buffer | null) ?? Buffer.alloc(0)
    const section = read()
    mock.timers.tick(15_000)
    const first = read()
    mock.timers.tick(15_000)
    const second = read()
    assert.deepEqual([section.readUInt32LE(0), second.length], [0x0a0d0d0a, 16])
    // The section itself was news in the first 15 s.
    assert.equal(first.length, 0)
    readPcapng(Buffer.concat([section, second]))
    await capture.stop()
  })
})

describe('the file of a capture', () => {
  const record = (portId: number): CaptureRecord => ({
    portId,
    time: clock(),
    direction: IN,
    length: 100,
    bytes: Uint8Array.of(1, 2, 3),
    dropReason: null,
  })

  it('has a bounded number of interfaces, and says what the last one is', () => {
    const file = new CaptureFile(100, clock)
    const blocks = [file.begin('test')]
    const ports = MAX_CAPTURED_PORTS + 50
    for (let id = 0; id < ports; id++) {
      blocks.push(file.introduce(id, { name: `vms:${id}`, kind: 'unixgram' }), file.packets([record(id)]))
    }
    const count = { name: '', kind: '', seen: 3, accepted: 2, missed: 1 }
    blocks.push(
      file.statistics([
        { ...count, portId: 7 },
        { ...count, portId: OTHER_PORTS },
      ]),
    )
    const { interfaces, packets, statistics } = readPcapng(Buffer.concat(blocks))
    assert.equal(interfaces.length, MAX_CAPTURED_PORTS + 1)
    assert.deepEqual(
      [packets[7].port, packets[ports - 1].port, packets[ports - 1].length],
      ['vms:7', 'other ports', 100],
    )
    assert.deepEqual([...statistics.keys()], ['vms:7', 'other ports'])
  })
})
