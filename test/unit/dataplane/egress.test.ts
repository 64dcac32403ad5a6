import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { Egress } from '#src/dataplane/egress.js'
import { Fault } from '#src/dataplane/endpoint.js'
import { WRITABLE } from '#src/os/poller.js'
import { FakeEndpoint, fakeParts } from '../../support/fake-dataplane.js'

const EAGAIN = 11
const ECONNREFUSED = 111
const EMSGSIZE = 90
const PORT = 2
const FD = 77

describe('Egress', () => {
  let parts: ReturnType<typeof fakeParts>
  let endpoint: FakeEndpoint
  let egress: Egress
  const maxFrameSize = new Int32Array(8).fill(1518)

  beforeEach(() => {
    parts = fakeParts()
    endpoint = new FakeEndpoint()
    endpoint.faults = { [EAGAIN]: Fault.wait, [ECONNREFUSED]: Fault.gone, [EMSGSIZE]: Fault.skip }
    egress = new Egress(parts.maxPorts, parts.pool, parts.counters, parts.descriptors)
    egress.addPort(PORT, endpoint, 16)
  })

  /** A batch of frames whose lengths are given, all for these ports; as the engine does it. */
  const deliver = (lengths: number[], ports = [PORT], now = 0) => {
    for (const [i, length] of lengths.entries()) {
      parts.batch.length[i] = length
      for (const port of ports) egress.stage(port, parts.batch, i, 1, maxFrameSize)
    }
    egress.flush(now)
    parts.batch.recycle(lengths.length)
  }
  const counters = (port = PORT) => parts.counters.readPort(port)
  const lengthsSent = (port = PORT) => endpoint.sent.filter(([to]) => to === port).map(([, , length]) => length)

  it('sends what was staged in one call for each port, in order, and counts it', () => {
    egress.addPort(3, endpoint, 16)
    deliver([60, 61, 62], [PORT, 3])
    assert.equal(endpoint.calls, 2)
    assert.deepEqual(
      [lengthsSent(PORT), lengthsSent(3)],
      [
        [60, 61, 62],
        [60, 61, 62],
      ],
    )
    assert.deepEqual([counters().transmitFrames, counters().transmitBytes, counters(3).transmitFrames], [3, 183, 3])
    assert.equal(egress.waiting(PORT), 0)
  })

  it('refuses what is longer than the port allows and sends the rest', () => {
    maxFrameSize[PORT] = 100
    deliver([60, 101, 100])
    maxFrameSize[PORT] = 1518
    assert.deepEqual(lengthsSent(), [60, 100])
    assert.equal(counters().transmitDrops.oversize, 1)
  })

  it('queues what was not taken, lets nothing overtake it, and goes on when the descriptor is writable', () => {
    endpoint.egressDescriptors.set(PORT, FD)
    endpoint.answers = [2]
    deliver([60, 61, 62, 63])
    assert.deepEqual(lengthsSent(), [60, 61])
    deliver([64])
    const before = endpoint.calls
    deliver([65])
    assert.equal(endpoint.calls, before, 'a blocked port is not asked')
    assert.equal(parts.poller.interest.get(FD), WRITABLE)
    assert.deepEqual([egress.waiting(PORT), counters().queueFrames, counters().queueHighWater], [4, 4, 4])

    egress.resume(PORT, 5)
    assert.deepEqual(lengthsSent(), [60, 61, 62, 63, 64, 65])
    assert.deepEqual([counters().queueFrames, counters().queueHighWater], [0, 4])
    assert.equal(parts.poller.interest.has(FD), false)
    assert.equal(egress.lastProgress(PORT), 5)
    assert.deepEqual(egress.retry, [])
  })

  it('tries by the clock a port whose descriptor tells nothing, and stops when its queue is empty', () => {
    endpoint.answers = [-EAGAIN]
    deliver([60, 61])
    assert.deepEqual(egress.retry, [PORT])
    endpoint.answers = [-EAGAIN]
    egress.resume(PORT, 1)
    assert.deepEqual(egress.retry, [PORT])
    endpoint.answers = [1]
    egress.resume(PORT, 2)
    assert.deepEqual([lengthsSent(), egress.retry], [[60], [PORT]])
    egress.resume(PORT, 3)
    assert.deepEqual([lengthsSent(), egress.retry], [[60, 61], []])
  })

  it('keeps the order when its ring wraps around', () => {
    endpoint.answers = [-EAGAIN]
    deliver(Array.from({ length: 10 }, (_, i) => 100 + i))
    endpoint.answers = [8]
    egress.resume(PORT, 1)
    deliver(Array.from({ length: 12 }, (_, i) => 110 + i))
    assert.equal(egress.waiting(PORT), 14)
    for (let i = 0; i < 4 && egress.waiting(PORT) > 0; i++) egress.resume(PORT, 2)
    assert.deepEqual(
      lengthsSent(),
      Array.from({ length: 22 }, (_, i) => 100 + i),
    )
  })

  it('drops what a full queue does not take, counts it, and keeps no slot of it', () => {
    endpoint.answers = [-EAGAIN]
    const free = parts.pool.free
    deliver(Array.from({ length: 20 }, (_, i) => 100 + i))
    assert.deepEqual([egress.waiting(PORT), counters().transmitDrops['queue-full']], [16, 4])
    assert.equal(free - parts.pool.free, 16)
    egress.resume(PORT, 1)
    assert.deepEqual(
      lengthsSent(),
      Array.from({ length: 16 }, (_, i) => 100 + i),
    )
    assert.equal(parts.pool.free, free)
  })

  it('leaves out a frame that cannot be sent, counts it as an error, and sends the next', () => {
    endpoint.answers = [-EMSGSIZE]
    deliver([60, 61])
    assert.deepEqual(lengthsSent(), [61])
    assert.equal(counters().transmitDrops.error, 1)
  })

  it('asks no more than eight times in a row when every answer is an error, then waits', () => {
    endpoint.faults = { 1: Fault.retry }
    endpoint.answers = new Array(100).fill(-1)
    deliver([60])
    assert.equal(endpoint.calls, 8)
    assert.deepEqual([egress.waiting(PORT), egress.retry], [1, [PORT]])
  })

  it('skips no more than eight frames in a row, then waits with the rest', () => {
    endpoint.answers = new Array(8).fill(-EMSGSIZE)
    deliver(Array.from({ length: 12 }, (_, i) => 100 + i))
    assert.deepEqual([counters().transmitDrops.error, egress.waiting(PORT)], [8, 4])
    egress.resume(PORT, 1)
    assert.deepEqual(lengthsSent(), [108, 109, 110, 111])
  })

  it('takes a port down when nobody is there, once, and counts the whole run', () => {
    endpoint.onGone = port => egress.drain(port)
    endpoint.answers = [-ECONNREFUSED]
    deliver([60, 61, 62])
    assert.deepEqual(endpoint.goneports, [PORT])
    assert.equal(counters().transmitDrops['peer-gone'], 3)
  })

  it('drops the queue, too, when the peer is found gone while resuming, and frees every slot once', () => {
    endpoint.onGone = port => egress.drain(port)
    const free = parts.pool.free
    endpoint.answers = [-EAGAIN]
    deliver([60, 61, 62, 63, 64])
    endpoint.answers = [2, -ECONNREFUSED]
    egress.resume(PORT, 1)
    egress.resume(PORT, 2)
    assert.deepEqual(endpoint.goneports, [PORT])
    assert.deepEqual(lengthsSent(), [60, 61])
    assert.deepEqual([counters().transmitDrops['peer-gone'], egress.waiting(PORT), egress.retry], [3, 0, []])
    assert.equal(parts.pool.free, free)
  })

  it('does not let one blocked port hold up another on the same batch', () => {
    egress.addPort(3, endpoint, 16)
    endpoint.answers = [-EAGAIN]
    deliver([60, 61], [PORT, 3])
    assert.deepEqual([lengthsSent(PORT), lengthsSent(3)], [[], [60, 61]])
    deliver([62], [3])
    assert.deepEqual(lengthsSent(3), [60, 61, 62])
  })

  it('keeps what waits when the queue gets another limit, up to that limit', () => {
    const free = parts.pool.free
    endpoint.answers = [-EAGAIN]
    deliver([60, 61, 62, 63])
    egress.setQueueLimit(PORT, 3)
    assert.deepEqual([egress.waiting(PORT), egress.queueLimit(PORT), counters().transmitDrops['queue-full']], [3, 3, 1])
    egress.setQueueLimit(PORT, 100)
    egress.resume(PORT, 1)
    assert.deepEqual(lengthsSent(), [60, 61, 62])
    assert.equal(parts.pool.free, free)
  })

  it('forgets a port that is removed while frames wait for it', () => {
    const free = parts.pool.free
    endpoint.egressDescriptors.set(PORT, FD)
    endpoint.answers = [-EAGAIN]
    deliver([60, 61])
    egress.removePort(PORT)
    assert.deepEqual([egress.waiting(PORT), parts.pool.free, parts.poller.interest.size], [0, free, 0])
    assert.equal(counters().transmitDrops['peer-gone'], 2)
    egress.resume(PORT, 1)
    assert.deepEqual(lengthsSent(), [])
  })

  describe('with an impaired port', () => {
    const line = {
      seed: 1,
      loss: 0,
      duplicate: 0,
      reorder: 0,
      reorderMs: 5,
      delayMs: 0,
      jitterMs: 0,
      bitsPerSecond: 0,
      holdFrames: 100,
    }
    const impair = (settings: Partial<typeof line>) => egress.setImpairment(PORT, 'vms:2', { ...line, ...settings })

    it('sends at once and in order while nothing is impaired', () => {
      impair({})
      deliver([60, 61, 62])
      assert.deepEqual(lengthsSent(), [60, 61, 62])
      assert.equal(egress.nextReleaseAt, Number.POSITIVE_INFINITY)
    })

    it('counts what the line loses, and keeps no slot of it', () => {
      const free = parts.pool.free
      impair({ loss: 100 })
      deliver([60, 61, 62])
      assert.deepEqual(lengthsSent(), [])
      assert.deepEqual([counters().transmitDrops.impaired, counters().transmitFrames, parts.pool.free], [3, 0, free])
    })

    it('sends what was delayed when it is due, and counts it only then', () => {
      const free = parts.pool.free
      impair({ delayMs: 10 })
      deliver([60, 61], [PORT], 100)
      assert.deepEqual([egress.nextReleaseAt, counters().transmitFrames, free - parts.pool.free], [110, 0, 2])
      egress.releaseDue(109)
      assert.deepEqual(lengthsSent(), [])
      egress.releaseDue(110)
      assert.deepEqual([lengthsSent(), counters().transmitFrames, parts.pool.free], [[60, 61], 2, free])
    })

    it('queues what is due while the port is full', () => {
      impair({ delayMs: 10 })
      endpoint.answers = [-EAGAIN]
      deliver([60, 61], [PORT], 0)
      egress.releaseDue(10)
      assert.equal(egress.waiting(PORT), 2)
      egress.resume(PORT, 11)
      assert.deepEqual(lengthsSent(), [60, 61])
    })

    it('drops what the line cannot hold as for a full queue', () => {
      impair({ delayMs: 10, holdFrames: 2 })
      deliver([60, 61, 62])
      assert.equal(counters().transmitDrops['queue-full'], 1)
    })

    it('lets go of what it holds when the peer has gone, also when it is found gone while releasing', () => {
      const free = parts.pool.free
      endpoint.onGone = port => egress.drain(port)
      impair({ delayMs: 10 })
      deliver([60, 61], [PORT], 0)
      deliver([62, 63, 64], [PORT], 5)
      endpoint.answers = [-ECONNREFUSED]
      egress.releaseDue(10)
      assert.deepEqual(endpoint.goneports, [PORT])
      assert.deepEqual([counters().transmitDrops['peer-gone'], parts.pool.free], [5, free])
      assert.equal(egress.nextReleaseAt, Number.POSITIVE_INFINITY)
    })

    it('sends at once what it held when it is taken away, and goes on as it was when nothing changes', () => {
      impair({ delayMs: 10 })
      deliver([60, 61], [PORT], 0)
      impair({ delayMs: 10 })
      assert.deepEqual(lengthsSent(), [])
      egress.setImpairment(PORT, 'vms:2', null)
      assert.deepEqual(lengthsSent(), [60, 61])
      deliver([62])
      assert.deepEqual(lengthsSent(), [60, 61, 62])
    })

    it('forgets what it holds for a port that is removed', () => {
      const free = parts.pool.free
      impair({ delayMs: 10 })
      deliver([60, 61])
      egress.removePort(PORT)
      assert.deepEqual([lengthsSent(), parts.pool.free, egress.nextReleaseAt], [[], free, Number.POSITIVE_INFINITY])
    })
  })

  it('never drops a frame that was sent in part, whatever the limits say, and sends it first', () => {
    egress.setQueueLimit(PORT, 1)
    endpoint.egressDescriptors.set(PORT, FD)
    endpoint.inPart.add(PORT)
    endpoint.answers = [1]
    deliver([60, 61, 62])
    assert.deepEqual([egress.waiting(PORT), counters().transmitDrops['queue-full']], [1, 1])
    egress.setQueueLimit(PORT, 8)
    deliver([63])
    egress.resume(PORT, 5)
    assert.deepEqual(lengthsSent(), [60, 61, 63])
  })

  it('ends the port when there is no memory for a frame that was sent in part', () => {
    while (parts.pool.free > 64) parts.pool.take()
    const inPlace = { offset: new Int32Array(2).fill(parts.pool.takeBuffer()), length: new Int32Array(2).fill(60) }
    endpoint.inPart.add(PORT)
    endpoint.answers = [1]
    egress.stage(PORT, inPlace, 0, 2, maxFrameSize)
    egress.flush(0)
    assert.deepEqual(endpoint.goneports, [PORT])
    assert.equal(counters().transmitDrops.error, 1)
  })

  it('hands datagrams to an endpoint in batches, and goes on while all are taken', () => {
    const list = { offset: new Int32Array(150).fill(parts.pool.take()), length: new Int32Array(150).fill(60) }
    egress.stage(PORT, list, 0, 150, maxFrameSize)
    egress.flush(0)
    assert.deepEqual([endpoint.calls, endpoint.sent.length], [3, 150])
  })

  it('leaves the impairment of another port alone when the peer of an impaired one has died', () => {
    const line = {
      seed: 1,
      loss: 0,
      duplicate: 0,
      reorder: 0,
      reorderMs: 0,
      jitterMs: 0,
      bitsPerSecond: 0,
      holdFrames: 64,
    }
    // As for a port that was made by its connection.
    endpoint.onGone = port => egress.removePort(port)
    egress.addPort(3, endpoint, 16)
    for (const port of [PORT, 3]) egress.setImpairment(port, `p${port}`, { ...line, delayMs: 50 })
    deliver([60], [PORT, 3])
    endpoint.answers = [-ECONNREFUSED]
    egress.setImpairment(PORT, `p${PORT}`, null)
    assert.equal(egress.nextReleaseAt, 50, 'the frame of the other port is still due')
    egress.releaseDue(60)
    assert.deepEqual([lengthsSent(3), lengthsSent()], [[60], []])
  })

  it('keeps what waits when the limit of a queue is raised while memory is short', () => {
    parts = fakeParts({ slots: 128 + 64 + 40 })
    egress = new Egress(parts.maxPorts, parts.pool, parts.counters, parts.descriptors)
    endpoint.faults = { [EAGAIN]: Fault.wait }
    for (const port of [1, PORT]) {
      egress.addPort(port, endpoint, 64)
      endpoint.answers = [-EAGAIN]
      for (let i = 0; i < 5; i++) deliver(new Array(8).fill(60), [port])
    }
    const held = egress.waiting(1)
    const { free } = parts.pool
    assert.ok(held > 0)
    const dropped = counters(1).transmitDrops['queue-full']
    egress.setQueueLimit(1, 128)
    assert.deepEqual(
      [egress.waiting(1), counters(1).transmitDrops['queue-full'], parts.pool.free],
      [held, dropped, free],
    )
    egress.setQueueLimit(1, 4)
    assert.deepEqual([egress.waiting(1), counters(1).transmitDrops['queue-full']], [4, dropped + held - 4])
  })

  it('never uses up the memory for frames that were sent in part, and ends a port instead', () => {
    parts = fakeParts({ slots: 300, maxPorts: 300 })
    egress = new Egress(parts.maxPorts, parts.pool, parts.counters, parts.descriptors)
    const sizes = new Int32Array(300).fill(1518)
    for (let port = 0; port < 300; port++) {
      egress.addPort(port, endpoint, 16)
      endpoint.inPart.add(port)
    }
    endpoint.transmit = () => 0
    for (let port = 0; port < 300; port++) {
      parts.batch.length[0] = 60
      egress.stage(port, parts.batch, 0, 1, sizes)
      egress.flush(0)
      // Throws when no slot is free for the next frame.
      parts.batch.recycle(1)
    }
    assert.ok(endpoint.goneports.length > 0 && parts.pool.free > 0)
  })
})
