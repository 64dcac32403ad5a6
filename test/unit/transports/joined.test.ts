import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { ALICE, BOB, BROADCAST, frame } from '../../support/frames.js'
import { JoinedRig } from '../../support/joined-rig.js'
import { numbered, numberOf } from '../../support/numbered.js'
import { requirements } from '../../support/requires.js'
import { until } from '../../support/until.js'

describe('JoinedPorts', () => {
  let rig: JoinedRig

  beforeEach(async () => {
    rig = new JoinedRig()
    await rig.start()
  })
  afterEach(() => rig.stop())

  it('makes a port for each, named in order, that says who is behind it', async () => {
    const { port } = await rig.open('10.1.2.3')
    const second = await rig.open('10.1.2.4')
    assert.deepEqual([port.name, second.port.name], ['web:1', 'web:2'])
    const { kind, peer, endpoint } = rig.record('web:1') as NonNullable<ReturnType<JoinedRig['record']>>
    assert.deepEqual([kind, peer, endpoint], ['websocket', '10.1.2.3', 'web'])
  })

  it('moves frames both ways, each byte and in order', async () => {
    const alice = await rig.open('alice')
    const bob = await rig.open('bob')
    bob.port.send(frame(BROADCAST, BOB))
    await until(() => alice.received.length === 1, 'alice has the broadcast')
    for (let length = 60; length <= 1518; length++) {
      assert.ok(alice.port.send(numbered(BOB, ALICE, length, length)))
      if (length % 100 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    await until(() => bob.received.length === 1459, 'bob has all')
    for (const [i, received] of bob.received.entries()) {
      assert.deepEqual(Buffer.from(received), Buffer.from(numbered(BOB, ALICE, i + 60, i + 60)))
    }
  })

  it('answers false when there is no room, says when there is again, and loses nothing it took', async () => {
    const later = new JoinedRig({ queueFrames: 65_536 })
    try {
      let writable = 0
      const received: Uint8Array[] = []
      const bob = later.joined.open('bob', { onFrame: each => received.push(each) })
      const alice = later.joined.open('alice', { onFrame: () => {}, onWritable: () => writable++ })
      bob.send(frame(BROADCAST, BOB))
      let taken = 0
      // Nobody has the other end yet.
      await until(() => {
        while (alice.send(numbered(BOB, ALICE, taken, 1500))) taken++
        return alice.waitingBytes > 1024 * 1024 - 1504
      }, 'alice is full')
      assert.ok(taken > 700, `${taken} frames fit`)
      assert.ok(alice.waitingBytes <= 1024 * 1024)
      await later.start()
      await until(() => writable > 0, 'there is room again')
      await until(() => received.length === taken, 'all are delivered')
      assert.deepEqual(
        received.map(numberOf),
        Array.from({ length: taken }, (_, i) => i),
      )
    } finally {
      await later.stop()
    }
  })

  const dropped = (name: string) => rig.counters(name).transmitDrops['queue-full']

  it('lets whoever does not read wait in the kernel and the queue of its port, and no further', async () => {
    const alice = await rig.open('alice')
    const bob = await rig.open('bob')
    bob.port.send(frame(BROADCAST, BOB))
    await until(() => rig.counters('web:2').receiveFrames === 1, 'bob is known')
    bob.port.pause()
    let sent = 0
    await until(() => {
      for (let i = 0; i < 100; i++) if (alice.port.send(numbered(BOB, ALICE, sent, 1500))) sent++
      return dropped('web:2') > 0
    }, 'frames for bob are dropped')
    assert.equal(rig.counters('web:2').queueHighWater, 512)
    bob.port.resume()
    await until(() => bob.received.length + dropped('web:2') === sent, 'what was not dropped is delivered')
    const numbers = bob.received.map(numberOf)
    assert.ok(numbers.every((number, i) => i === 0 || number > (numbers[i - 1] as number)))
  })

  it('refuses what cannot be a frame', async () => {
    const { port } = await rig.open('alice')
    assert.throws(() => port.send(new Uint8Array(0)), RangeError)
    assert.throws(() => port.send(new Uint8Array(100_000)), RangeError)
  })

  it('delivers what was sent before it was closed, and takes its port away', async () => {
    const alice = await rig.open('alice')
    const bob = await rig.open('bob')
    bob.port.send(frame(BROADCAST, BOB))
    await until(() => alice.received.length === 1, 'bob is known')
    for (let i = 0; i < 100; i++) alice.port.send(numbered(BOB, ALICE, i, 200))
    alice.port.close()
    alice.port.close()
    assert.equal(alice.port.send(frame(BOB, ALICE)), false)
    await until(() => bob.received.length === 100, 'bob has all')
    await until(() => rig.record('web:1') === undefined, 'the port is gone')
    assert.equal(rig.joined.size, 1)
  })

  for (const how of ['planned', 'crash'] as const) {
    it(`keeps ports and what is in the middle of a frame when the data plane is replaced: ${how}`, async () => {
      const alice = await rig.open('alice')
      const bob = await rig.open('bob')
      bob.port.send(frame(BROADCAST, BOB))
      await until(() => alice.received.length === 1, 'bob is known')
      const ids = [rig.record('web:1')?.id, rig.record('web:2')?.id]
      let sent = 0
      let refused = 0
      const timer = setInterval(() => {
        for (let i = 0; i < 20; i++) if (!alice.port.send(numbered(BOB, ALICE, sent++, 1500))) refused++
      }, 1)
      await until(() => bob.received.length > 200, 'traffic flows')
      await rig.replace(how)
      const before = bob.received.length
      await until(() => bob.received.length > before + 200, 'traffic flows again')
      clearInterval(timer)
      assert.deepEqual([rig.record('web:1')?.id, rig.record('web:2')?.id], ids)
      const numbers = bob.received.map(numberOf)
      assert.ok(
        numbers.every((number, i) => i === 0 || number > (numbers[i - 1] as number)),
        'in order, none twice',
      )
      const whole = bob.received.every(received => received.length === 1500)
      assert.ok(whole, 'no frame is cut')
      assert.deepEqual(
        rig.log.lines.filter(line => line.message.includes('anew')),
        [],
      )
      void refused
    })
  }

  describe('with a lasting port', () => {
    beforeEach(async () => {
      await rig.stop()
      rig = new JoinedRig({ lasting: ['web'] })
      await rig.start()
    })

    it('has it before it is opened, and keeps it with its counters when it is closed and opened again', async () => {
      await until(() => rig.record('web') !== undefined, 'the port is there')
      assert.equal(rig.record('web')?.up, false)
      const id = rig.record('web')?.id
      const first = await rig.open('first', 'web')
      first.port.send(frame(BROADCAST, ALICE))
      await until(() => rig.counters('web').receiveFrames === 1, 'it is counted')
      first.port.close()
      await until(() => rig.record('web')?.up === false, 'the port is down')
      const second = await rig.open('second', 'web')
      second.port.send(frame(BROADCAST, ALICE))
      await until(() => rig.counters('web').receiveFrames === 2, 'it goes on counting')
      assert.deepEqual([rig.record('web')?.id, rig.record('web')?.peer], [id, 'second'])
    })

    it('serves the one that opens it before the end of the one before is known', async () => {
      const first = await rig.open('first', 'web')
      first.port.close()
      const received: Uint8Array[] = []
      rig.joined.open('second', { onFrame: each => received.push(each) }, 'web')
      const other = await rig.open('other')
      await until(() => rig.record('web')?.peer === 'second', 'the second has it')
      other.port.send(frame(BROADCAST, BOB))
      await until(() => received.length === 1, 'it gets frames')
      assert.equal(rig.joined.size, 2)
    })

    it('keeps it when the data plane is replaced while it is closed', async () => {
      const first = await rig.open('first', 'web')
      const id = rig.record('web')?.id
      first.port.close()
      await until(() => rig.record('web')?.up === false, 'the port is down')
      await rig.replace('planned')
      await rig.open('second', 'web')
      assert.equal(rig.record('web')?.id, id)
    })
  })

  it('leaves no descriptor open', requirements({ platform: 'linux' }), async () => {
    const before = readdirSync('/proc/self/fd').length
    for (let i = 0; i < 10; i++) {
      const { port } = await rig.open('passer-by')
      port.send(frame(BROADCAST, ALICE))
      port.close()
      await until(() => rig.record(port.name) === undefined, 'the port is gone')
    }
    await until(() => readdirSync('/proc/self/fd').length === before, 'all descriptors are closed')
  })
})
