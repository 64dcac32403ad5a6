import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import type { Event } from '#src/dataplane/messages.js'
import { Outbox } from '#src/dataplane/outbox.js'
import { Random, randomSeed } from '../../support/random.js'

describe('Outbox', () => {
  let posted: Event[]
  let taken: number
  let merged: number
  let outbox: Outbox
  let nextId: number

  beforeEach(() => {
    posted = []
    taken = 0
    merged = 0
    nextId = 1
    outbox = new Outbox({
      post: event => void posted.push(event),
      taken: () => taken,
      countMerged: events => {
        merged += events
      },
    })
  })

  const added = (index: number): Event => {
    const [id, name] = [nextId++, `vms:${nextId}`]
    return { type: 'port-added', index, id, name, transport: 'vms', kind: 'unixgram', staticAddresses: [], at: 0 }
  }
  const up = (index: number, peer: string): Event => ({ type: 'port-up', index, id: 0, peer, restore: null, at: 0 })
  const down = (index: number): Event => ({ type: 'port-down', index, id: 0, peer: null, restore: null, at: 0 })
  const removed = (index: number): Event => ({ type: 'port-removed', index, id: 0, at: 0 })
  const types = () => posted.map(({ type }) => type)
  /** One guest that connects and goes. */
  const visit = (index: number) => {
    for (const event of [added(index), up(index, 'x'), down(index), removed(index)]) outbox.send(event)
  }

  it('passes everything on while the main thread keeps up', () => {
    for (let i = 0; i < 10_000; i++) {
      visit(3)
      taken = posted.length
    }
    assert.equal(posted.length, 40_000)
    assert.equal(merged, 0)
  })

  it('keeps the channel bounded when the main thread takes nothing, whatever guests do', () => {
    for (let i = 0; i < 100_000; i++) visit(i % 100)
    assert.ok(posted.length <= 2048, `${posted.length} under way`)
    outbox.flushAll()
    assert.ok(posted.length <= 2048 + 3 * 100)
    assert.equal(posted.length + merged, 400_000)
  })

  it('says of a port that was exchanged meanwhile: the old one went, the new one is there, this is its state', () => {
    outbox.send(added(3))
    outbox.send(up(3, 'first'))
    fill()
    outbox.send(down(3))
    outbox.send(removed(3))
    visit(3)
    outbox.send(added(3))
    outbox.send(up(3, 'a'))
    outbox.send(up(3, 'last'))
    posted = []
    taken = Number.POSITIVE_INFINITY
    outbox.flush()
    assert.deepEqual(types(), ['port-removed', 'port-added', 'port-up'])
    assert.equal((posted[2] as { peer?: string }).peer, 'last')
  })

  it('sends what waits of a port before its suspension, and all that waits before its endpoint has failed or serves again', () => {
    fill()
    posted = []
    outbox.send(added(3))
    outbox.send(up(3, 'a'))
    outbox.send(added(4))
    outbox.send({ type: 'port-suspended', index: 3, id: 0, at: 0 })
    assert.deepEqual(types(), ['port-added', 'port-up', 'port-suspended'])
    outbox.send({ type: 'endpoint-failed', name: 'vms', reason: 'x', stack: null, at: 0 })
    outbox.send(up(4, 'b'))
    outbox.send({ type: 'port-resumed', index: 4, id: 0, at: 0 })
    outbox.send(down(3))
    outbox.send({ type: 'endpoint-opened', name: 'vms' })
    assert.deepEqual(types().slice(3), [
      ...['port-added', 'endpoint-failed'],
      ...['port-up', 'port-resumed', 'port-down', 'endpoint-opened'],
    ])
  })

  it('sends all that waits before an answer, and what waits of a port before anything else about it', () => {
    fill()
    posted = []
    outbox.send(added(3))
    outbox.send(added(4))
    outbox.send({ type: 'mac-learned', mac: '52:54:00:00:00:01', port: 3, at: 0 })
    assert.deepEqual(types(), ['port-added', 'mac-learned'])
    outbox.send({ type: 'reply', id: 1, error: null })
    assert.deepEqual(types(), ['port-added', 'mac-learned', 'port-added', 'reply'])
  })

  it('leaves records that are exact, whatever came and went and however fast it was taken', () => {
    const random = new Random(randomSeed)
    const truth = new Map<number, string | null>()
    const records = new Map<number, string | null>()
    const take = () => {
      for (const event of posted.slice(taken)) record(records, event)
      taken = posted.length
    }
    for (let step = 0; step < 50_000; step++) {
      const index = random.between(0, 39)
      const event = !truth.has(index)
        ? added(index)
        : [up(index, `p${step}`), down(index), removed(index)][random.between(0, 2)]
      record(truth, event as Event)
      outbox.send(event as Event)
      if (random.between(0, 3999) === 0) take()
      if (random.between(0, 999) === 0) outbox.flush()
    }
    outbox.flushAll()
    take()
    assert.deepEqual(records, truth)
    assert.ok(merged > 1000, `${merged} merged`)
  })

  function fill(): void {
    while (posted.length < 2048) outbox.send({ type: 'started' })
  }
})

/** What the main thread makes of an event; fails where it would be about a port that is not there. */
function record(records: Map<number, string | null>, event: Event): void {
  if (event.type === 'port-added') {
    assert.ok(!records.has(event.index))
    records.set(event.index, null)
  } else if (event.type === 'port-up' || event.type === 'port-down') {
    assert.ok(records.has(event.index))
    records.set(event.index, event.peer)
  } else if (event.type === 'port-removed') {
    assert.ok(records.delete(event.index))
  }
}
