import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { EventReporter } from '#src/dataplane/event-reporter.js'
import type { Event } from '#src/dataplane/messages.js'
import { SwitchField } from '#src/dataplane/shared-memory.js'
import { Tracer } from '#src/dataplane/tracer.js'
import { fakeParts } from '../../support/fake-dataplane.js'
import { ALICE, arpReply, arpRequest, BOB, BROADCAST } from '../../support/frames.js'

describe('Tracer', () => {
  let parts: ReturnType<typeof fakeParts>
  let events: Event[]
  let tracer: Tracer

  beforeEach(() => {
    parts = fakeParts()
    events = []
    tracer = new Tracer({
      maxPorts: parts.maxPorts,
      pool: parts.pool,
      reporter: new EventReporter(parts.counters.cells),
      clock: () => 42,
      emit: event => events.push(event),
    })
  })

  const fill = (i: number, port: number, bytes: Uint8Array) => {
    const { batch, pool } = parts
    pool.bytes.set(bytes, batch.offset[i])
    batch.length[i] = bytes.length
    batch.port[i] = port
  }

  it('is idle until a port is traced, and again when none is', () => {
    assert.equal(tracer.active, false)
    tracer.set(2, true)
    tracer.set(3, true)
    tracer.set(2, false)
    assert.equal(tracer.active, true)
    tracer.set(3, false)
    assert.equal(tracer.active, false)
  })

  it('reports what comes in through a traced port, and nothing of others', () => {
    tracer.set(2, true)
    fill(0, 2, arpRequest)
    fill(1, 3, arpReply)
    fill(2, -1, arpReply)
    fill(3, 2, new Uint8Array(5))
    tracer.received(parts.batch, 4)
    const common = { type: 'frame', port: 2, direction: 'receive', at: 42 }
    assert.deepEqual(events, [
      { ...common, destination: BROADCAST, source: ALICE, etherType: 0x0806, length: 42 },
      { ...common, destination: null, source: null, etherType: null, length: 5 },
    ])
  })

  it('reports what goes out of a traced port', () => {
    tracer.set(2, true)
    fill(0, 5, arpReply)
    tracer.transmitted(3, parts.batch.offset, parts.batch.length, 0, 1)
    tracer.transmitted(2, parts.batch.offset, parts.batch.length, 0, 1)
    assert.deepEqual(events, [
      {
        type: 'frame',
        port: 2,
        direction: 'transmit',
        destination: ALICE,
        source: BOB,
        etherType: 0x0806,
        length: 42,
        at: 42,
      },
    ])
  })

  it('reports a bounded number and counts the rest', () => {
    tracer.set(2, true)
    fill(0, 2, arpRequest)
    for (let i = 0; i < 1000; i++) tracer.received(parts.batch, 1)
    assert.equal(events.length + (parts.counters.cells[SwitchField.eventsSuppressed] as number), 1000)
    assert.ok(events.length > 0 && events.length < 500, `${events.length} reported`)
  })
})
