import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import {
  type CaptureRecord,
  MAX_CAPTURED_PORTS,
  OTHER_PORTS,
  type PortLabel,
  RecordReader,
} from '#src/dataplane/capture-record.js'
import type { CaptureSpec } from '#src/dataplane/capture-session.js'
import { Captures } from '#src/dataplane/captures.js'
import { FramePool } from '#src/dataplane/frame-pool.js'
import * as libc from '#src/os/libc.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { closeAll, createOs } from '#src/os/os.js'
import { streamPair } from '#src/os/stream-socket.js'
import { receiveDropReasons } from '#src/switch/drop-reason.js'
import { arpRequest, ipv4Echo } from '../../support/frames.js'

const { layout } = createOs()
const flags = layout.constants.MSG_DONTWAIT | layout.constants.MSG_NOSIGNAL
const offsets = new Int32Array(64)
const lengths = new Int32Array(64)

const portWith = (id: number) => ({ id, name: `vms:${id}`, kind: 'unixgram' })

/** ldh [12]; jeq #0x806, 0, 1; ret #65535; ret #0 */
const arpOnly = Uint32Array.of(0x28, 12, 0x15 | (1 << 24), 0x806, 6, 65_535, 6, 0)

describe('captures', () => {
  let pool: FramePool
  let captures: Captures
  let ends: [number, number]
  let reader: RecordReader
  let labels: Map<number, PortLabel>
  let now = 0

  beforeEach(() => {
    pool = new FramePool(64 * 2048, 1518, 8)
    captures = new Captures(4, pool, () => now, flags)
    captures.portAt(0, portWith(11))
    captures.portAt(1, portWith(12))
    ends = streamPair(layout)
    labels = new Map()
    reader = new RecordReader((id, label) => labels.set(id, label))
    for (const [i, frame] of [ipv4Echo, arpRequest].entries()) {
      offsets[i] = pool.take()
      lengths[i] = frame.length
      pool.bytes.set(frame, offsets[i])
    }
  })

  afterEach(() => closeAll(ends))

  const start = (spec: Partial<CaptureSpec> = {}) =>
    captures.start({ id: 1, fd: ends[1], portId: null, snapLength: 65_550, filter: null, ...spec })

  /** What reached the main thread's end since the last time, read `pieces` bytes at a time. */
  function records(pieces = 65_536): CaptureRecord[] {
    const memory = new NativeMemory(pieces)
    const found: CaptureRecord[] = []
    for (;;) {
      const count = libc.read(ends[0], memory.address, pieces)
      if (count <= 0) return found
      const chunk = Buffer.from(memory.bytes.subarray(0, count))
      found.push(...reader.read(chunk).map(record => ({ ...record, bytes: Uint8Array.from(record.bytes) })))
    }
  }

  it('are not active until one is started, nor after it was stopped', () => {
    assert.equal(captures.active, false)
    start()
    assert.equal(captures.active, true)
    captures.stop(1)
    assert.equal(captures.active, false)
  })

  it('hand over frames with their port, time, direction and fate, however the socket cuts them', () => {
    start()
    now = 1234.5
    captures.received(0, offsets, lengths, 0, 2, receiveDropReasons.indexOf('runt'))
    captures.transmitted(1, offsets, lengths, 1, 1, -1)
    captures.flush()
    assert.deepEqual(records(7), [
      { portId: 11, time: 1234.5, direction: 1, length: ipv4Echo.length, bytes: ipv4Echo, dropReason: 'runt' },
      { portId: 11, time: 1234.5, direction: 1, length: arpRequest.length, bytes: arpRequest, dropReason: 'runt' },
      { portId: 12, time: 1234.5, direction: 2, length: arpRequest.length, bytes: arpRequest, dropReason: null },
    ])
  })

  it('take one port only, and no more bytes than asked for', () => {
    start({ portId: 12, snapLength: 15 })
    captures.received(0, offsets, lengths, 0, 1, -1)
    captures.received(1, offsets, lengths, 0, 1, -1)
    captures.flush()
    assert.deepEqual(
      records().map(({ portId, length, bytes }) => [portId, length, bytes.length]),
      [[12, ipv4Echo.length, 15]],
    )
  })

  it('have the true length of a frame that did not fit its slot, and no byte beyond the slot', () => {
    start()
    lengths[0] = 9014
    captures.received(0, offsets, lengths, 0, 1, receiveDropReasons.indexOf('oversize'))
    captures.flush()
    assert.deepEqual(
      records().map(({ length, bytes }) => [length, bytes.length]),
      [[9014, pool.capacity]],
    )
  })

  it('count what their filter lets through, and nothing else', () => {
    start({ filter: arpOnly })
    captures.received(0, offsets, lengths, 0, 2, -1)
    assert.deepEqual(captures.stop(1), [
      { portId: 11, name: 'vms:11', kind: 'unixgram', seen: 2, accepted: 1, missed: 0 },
    ])
    assert.equal(records().length, 1)
  })

  it('miss, and count, what their reader is too slow for; the rest is whole', () => {
    start()
    const total = 100_000
    for (let i = 0; i < total; i++) {
      captures.grant(1, 0)
      captures.received(0, offsets, lengths, 0, 1, -1)
      if (i % 64 === 0) captures.flush()
    }
    const before = records()
    captures.flush()
    const between = records()
    const [{ seen, missed }] = captures.stop(1)
    const after = records()
    assert.equal(seen, total)
    assert.ok(missed > 0)
    const whole = [...before, ...between, ...after]
    assert.equal(whole.length, total - missed)
    assert.ok(whole.every(({ bytes }) => bytes.length === ipv4Echo.length))
  })

  it('look at little while the loop is busy, and count the rest', () => {
    start()
    const before = 200_000
    for (let i = 0; i < before; i++) captures.received(0, offsets, lengths, 0, 1, -1)
    captures.grant(0, 10)
    for (let i = 0; i < 1000; i++) captures.received(1, offsets, lengths, 0, 1, -1)
    const [first, second] = captures.stop(1)
    assert.equal(first.seen, before)
    assert.ok(first.accepted < before)
    assert.deepEqual([second.seen, second.accepted], [1000, 100])
  })

  it('keep the counts of a port whose place another takes', () => {
    start()
    captures.received(0, offsets, lengths, 0, 1, -1)
    captures.portAt(0, portWith(13))
    captures.received(0, offsets, lengths, 0, 2, -1)
    assert.deepEqual(
      captures.stop(1).map(({ portId, seen }) => [portId, seen]),
      [
        [11, 1],
        [13, 2],
      ],
    )
  })

  it('name each port before its first frame, also one that takes the place of another', () => {
    start()
    captures.received(0, offsets, lengths, 0, 2, -1)
    captures.portAt(0, portWith(13))
    captures.received(0, offsets, lengths, 0, 1, -1)
    captures.flush()
    assert.deepEqual(
      records(11).map(({ portId }) => portId),
      [11, 11, 13],
    )
    assert.deepEqual(labels, new Map([11, 13].map(id => [id, { name: `vms:${id}`, kind: 'unixgram' }])))
  })

  it('remember a bounded number of ports, however many come and go', () => {
    start()
    const ports = 3 * MAX_CAPTURED_PORTS
    let frames = 0
    for (let id = 0; id < ports; id++) {
      captures.grant(1, 0)
      captures.portAt(0, portWith(100 + id))
      captures.received(0, offsets, lengths, 0, 1, -1)
      captures.flush()
      frames += records().length
    }
    const counts = captures.stop(1)
    assert.equal(frames, ports)
    assert.equal(labels.size, MAX_CAPTURED_PORTS)
    assert.equal(counts.length, MAX_CAPTURED_PORTS + 1)
    assert.equal(counts.at(-1)?.portId, OTHER_PORTS)
    assert.equal(
      counts.reduce((sum, { seen, missed }) => sum + seen - missed, 0),
      ports,
    )
  })

  it('go on while another one is stuck', () => {
    const stuck = streamPair(layout)
    start({ id: 2, fd: stuck[1] })
    start()
    for (let i = 0; i < 50_000; i++) {
      captures.grant(1, 0)
      captures.received(0, offsets, lengths, 0, 1, -1)
    }
    captures.flush()
    assert.ok(records().length > 0)
    closeAll(stuck)
  })
})
