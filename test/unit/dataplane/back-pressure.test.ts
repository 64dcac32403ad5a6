import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import {
  BackPressure,
  DISTRUST_MS,
  HIGH,
  LOW,
  MAX_DISTRUST_MS,
  PATIENCE_MS,
  SOLE_MS,
} from '#src/dataplane/back-pressure.js'
import type { Descriptor } from '#src/dataplane/descriptor-table.js'
import { Egress } from '#src/dataplane/egress.js'
import { Fault } from '#src/dataplane/endpoint.js'
import { FakeEndpoint, fakeParts } from '../../support/fake-dataplane.js'

const EAGAIN = 11
const FULL = 2
const FREE = 3
const INGRESS = 0
const FD = 40

describe('BackPressure', () => {
  let parts: ReturnType<typeof fakeParts>
  let endpoint: FakeEndpoint
  let egress: Egress
  let pressure: BackPressure
  let sender: Descriptor
  let now: number
  const maxFrameSize = new Int32Array(8).fill(1518)

  beforeEach(() => {
    parts = fakeParts()
    endpoint = new FakeEndpoint()
    endpoint.faults = { [EAGAIN]: Fault.wait }
    egress = new Egress(parts.maxPorts, parts.pool, parts.counters, parts.descriptors)
    egress.addPort(FULL, endpoint, 512)
    egress.addPort(FREE, endpoint, 512)
    pressure = new BackPressure(parts.maxPorts, egress, parts.descriptors, parts.counters)
    parts.descriptors.watch(FD, endpoint)
    sender = parts.descriptors.byToken(parts.poller.tokenOf.get(FD) as number) as Descriptor
    now = 1000
  })

  /** One batch from the sender, all of it to these ports in turn; what goes to FULL waits there. */
  const batch = (frames: number, ...ports: number[]) => {
    if (sender.paused) return
    for (let i = 0; i < frames; i++) {
      const port = ports[i % ports.length] as number
      parts.batch.length[i] = 60
      egress.stage(port, parts.batch, i, 1, maxFrameSize)
      pressure.note(port)
    }
    endpoint.answers = ports.includes(FULL) && egress.waiting(FULL) === 0 ? [-EAGAIN] : []
    egress.flush(now)
    parts.batch.recycle(frames)
    pressure.afterBatch(sender, INGRESS, now)
  }
  /** The port takes this many of what waits. */
  const take = (frames: number) => {
    endpoint.answers = [Math.min(64, frames), Math.max(0, frames - 64)]
    egress.resume(FULL, now)
  }
  const fillTo = (frames: number) => {
    while (egress.waiting(FULL) < frames && !sender.paused) batch(Math.min(64, frames - egress.waiting(FULL)), FULL)
  }
  const pauses = () => parts.counters.readPort(INGRESS).pauses

  it('pauses a sender whose only destination is full, and counts it on the ingress port', () => {
    fillTo(HIGH)
    assert.equal(sender.paused, false, 'not before it has had one destination for a while')
    now += SOLE_MS
    batch(1, FULL)
    assert.deepEqual([sender.paused, pressure.active, pauses()], [true, true, 1])
    assert.equal(parts.poller.interest.has(FD), false)
  })

  it('does not pause while the queue is short', () => {
    fillTo(HIGH - 2)
    now += 10 * SOLE_MS
    batch(1, FULL)
    assert.equal(sender.paused, false)
    batch(1, FULL)
    assert.equal(sender.paused, true)
  })

  it('never pauses who talks to two ports, however full one of them is', () => {
    for (let i = 0; i < 20; i++) {
      now += SOLE_MS
      batch(64, FULL, FREE)
    }
    assert.ok(egress.waiting(FULL) > HIGH)
    assert.deepEqual([sender.paused, pauses()], [false, 0])
  })

  it('never pauses who talks to two ports in turn, a batch each', () => {
    for (let i = 0; i < 20; i++) {
      now += SOLE_MS - 1
      batch(64, i % 2 === 0 ? FULL : FREE)
    }
    assert.equal(sender.paused, false)
  })

  it('counts a flood as many destinations', () => {
    fillTo(HIGH)
    now += SOLE_MS
    pressure.noteFlood()
    batch(1, FULL)
    assert.equal(sender.paused, false)
  })

  it('leaves a batch that went nowhere out of account', () => {
    fillTo(HIGH)
    now += SOLE_MS
    pressure.afterBatch(sender, INGRESS, now)
    assert.equal(sender.paused, false)
    batch(1, FULL)
    assert.equal(sender.paused, true)
  })

  it('reads again when the queue is down to a few', () => {
    fillTo(HIGH)
    now += SOLE_MS
    batch(1, FULL)
    now += 1
    take(egress.waiting(FULL) - LOW - 1)
    pressure.review(now)
    assert.equal(sender.paused, true)
    take(1)
    pressure.review(now)
    assert.deepEqual([sender.paused, pressure.active], [false, false])
    assert.equal(parts.poller.interest.has(FD), true)
  })

  it('reads again when its patience ends, and trusts that port no more for a while', () => {
    fillTo(HIGH)
    now += SOLE_MS
    batch(1, FULL)
    now += PATIENCE_MS - 1
    pressure.review(now)
    assert.equal(sender.paused, true)
    now += 1
    pressure.review(now)
    assert.equal(sender.paused, false)

    now += DISTRUST_MS - 1
    batch(1, FULL)
    assert.equal(sender.paused, false)
    now += 1
    batch(1, FULL)
    assert.deepEqual([sender.paused, pauses()], [true, 2])
  })

  it('trusts a stalled port less each time, up to a limit, and as before once it has kept up', () => {
    /** One pause that ends because patience does; returns for how long nobody is paused on its account after it. */
    const pauseInVain = () => {
      fillTo(HIGH)
      batch(1, FULL)
      assert.equal(sender.paused, true)
      now += PATIENCE_MS
      pressure.review(now)
      const ended = now
      for (; !sender.paused; now += 10) batch(1, FULL)
      const distrust = now - 10 - ended
      takeAll()
      pressure.review(now)
      return distrust
    }
    const takeAll = () => {
      for (let i = 0; i < 10 && egress.waiting(FULL) > 0; i++) take(128)
    }
    fillTo(HIGH)
    now += SOLE_MS
    const first = pauseInVain()
    assert.equal(first, DISTRUST_MS)
    assert.equal(pauseInVain(), DISTRUST_MS, 'it kept up in between')

    const lengths: number[] = []
    fillTo(HIGH)
    batch(1, FULL)
    for (let i = 0; i < 8; i++) {
      now += PATIENCE_MS
      pressure.review(now)
      const ended = now
      for (; !sender.paused; now += 10) batch(1, FULL)
      lengths.push(now - 10 - ended)
    }
    assert.deepEqual(lengths, [50, 100, 200, 400, 800, 1600, MAX_DISTRUST_MS, MAX_DISTRUST_MS])
  })

  it('trusts a port no less when many senders were paused on its account at once', () => {
    fillTo(HIGH)
    now += SOLE_MS
    batch(1, FULL)
    for (const fd of [FD + 1, FD + 2]) {
      parts.descriptors.watch(fd, endpoint)
      const another = parts.descriptors.byToken(parts.poller.tokenOf.get(fd) as number) as Descriptor
      another.solePort = FULL
      pressure.note(FULL)
      pressure.afterBatch(another, INGRESS, now)
      assert.equal(another.paused, true)
    }
    now += PATIENCE_MS
    pressure.review(now)
    assert.equal(pressure.active, false)
    now += DISTRUST_MS
    batch(1, FULL)
    assert.equal(sender.paused, true)
  })
})
