import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MEMORY, MemoryEndpoint, MemoryMedium } from '#src/transports/memory.js'
import { ALICE, BOB, frame } from '../../support/frames.js'
import { TurningDataPlane } from '../../support/turning-data-plane.js'

describe('a data plane that hands over', () => {
  for (const type of ['hand-over', 'stop'] as const) {
    it(`reads and sends nothing any more, not even in the same turn: ${type}`, () => {
      const plane = new TurningDataPlane(1)
      const medium = new MemoryMedium(plane.os)
      const policy = { maxFrameSize: 1518, maxEntries: 0, isolated: false, queueFrames: 16 }
      const spec = { name: 'mem', kind: MEMORY, index: 0, options: { medium, policy }, ports: [] }
      plane.start(1518, [spec], (own, host) => new MemoryEndpoint(own, host))
      const [alice, bob] = [medium.peer('alice'), medium.peer('bob')]
      alice.send(frame(BOB, ALICE))
      bob.send(frame(ALICE, BOB))
      plane.turn()
      // epoll looks again, and first, at what was ready the last time.
      plane.turn()
      const received = alice.received.length
      plane.command({ type }, () => bob.send(frame(ALICE, BOB)))
      assert.equal(plane.thread.engine.running, false)
      assert.equal(alice.received.length, received)
      if (type === 'hand-over') assert.equal(medium.waiting, 1)
      medium.close()
      plane.release()
    })
  }
})
