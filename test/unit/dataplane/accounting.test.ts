/**
 * Every frame is accounted for, also those that wait when the data plane is replaced or dies: received = sent + dropped
 * by reason.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EndpointSpec } from '#src/dataplane/messages.js'
import { PortRecords } from '#src/dataplane/port-records.js'
import { MEMORY, MemoryEndpoint, MemoryMedium } from '#src/transports/memory.js'
import { BROADCAST, frame } from '../../support/frames.js'
import { numbered } from '../../support/numbered.js'
import { TurningDataPlane } from '../../support/turning-data-plane.js'

const ALICE = '02:00:00:00:00:0a'
const BOB = '02:00:00:00:00:0b'
const line = {
  seed: 1,
  loss: 10,
  duplicate: 0,
  reorder: 0,
  reorderMs: 0,
  delayMs: 20,
  jitterMs: 0,
  bitsPerSecond: 0,
  holdFrames: 64,
}

describe('frames of a switch under load', () => {
  for (const impairment of [null, line]) {
    for (const how of ['hand-over', 'death'] as const) {
      it(`are all counted over six times ${how}${impairment === null ? '' : ', with an impairment'}`, () => {
        const records = new PortRecords(() => {})
        const dataPlane = new TurningDataPlane(1, event => void records.take(event))
        const medium = new MemoryMedium(dataPlane.os)
        const policy = { maxFrameSize: 1518, maxEntries: 0, isolated: false, queueFrames: 48, impairment }
        const spec = (): EndpointSpec => {
          return { name: 'mem', kind: MEMORY, index: 0, options: { medium, policy }, ports: records.restored('mem') }
        }
        const start = () => dataPlane.start(1518, [spec()], (made, host) => new MemoryEndpoint(made, host))
        const [alice, bob] = [medium.peer('alice'), medium.peer('bob')]
        start()
        bob.send(frame(BROADCAST, BOB))
        dataPlane.turn()
        alice.send(frame(BROADCAST, ALICE))
        for (let i = 0; i < 40; i++) dataPlane.turn()
        const portOf = (peer: string) =>
          [...records.byIndex.values()].find(({ restore }) => restore === peer)?.index ?? -1
        const read = (peer: string) => dataPlane.counters.readPort(portOf(peer))
        const before = { received: read('alice').receiveFrames, came: bob.received.length, bob: read('bob') }
        const dropped = (drops: Record<string, number>) => Object.values(drops).reduce((sum, count) => sum + count, 0)

        let number = 0
        for (let round = 0; round < 6; round++) {
          bob.room = round % 2 === 0 ? 5 : 0
          for (let turn = 0; turn < 4; turn++) {
            for (let i = 0; i < 20; i++) alice.send(numbered(BOB, ALICE, ++number))
            dataPlane.turn()
          }
          if (how === 'hand-over') dataPlane.command({ type: 'hand-over' })
          start()
          bob.room = Number.POSITIVE_INFINITY
          dataPlane.turn()
        }
        for (let i = 0; i < 100; i++) dataPlane.turn()

        const after = read('bob')
        const received = read('alice').receiveFrames - before.received
        const sent = after.transmitFrames - before.bob.transmitFrames
        const lost = dropped(after.transmitDrops) - dropped(before.bob.transmitDrops)
        assert.equal(received, number)
        assert.equal(sent, bob.received.length - before.came)
        assert.equal(received, sent + lost, JSON.stringify(after.transmitDrops))
        assert.ok(after.transmitDrops.restart > 0)
        dataPlane.stop()
        medium.close()
      })
    }
  }
})
