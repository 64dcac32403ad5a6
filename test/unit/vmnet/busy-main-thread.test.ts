import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { VmnetRig } from '../../conformance/vmnet-rig.js'
import { ALICE, BOB, frame } from '../../support/frames.js'
import { requirements } from '../../support/requires.js'
import { until } from '../../support/until.js'
import { standinNeeds } from '../../support/vmnet-standin.js'

describe('a conversation through vmnet', requirements(standinNeeds), () => {
  it('goes on while the main thread, which hears of frames first, is busy', async () => {
    const rig = new VmnetRig({ maxFrameSize: 1518, queueFrames: 64 }, 1500)
    try {
      await rig.start()
      // Each answers to what it gets, so that one frame goes to and fro for ever.
      rig.standin.control('backend echo')
      await rig.open(0)
      const { number } = await rig.open(1)
      rig.standin.inject(frame(ALICE, BOB), { number })
      const hops = () => rig.counters(0).receiveFrames + rig.counters(1).receiveFrames
      await until(() => hops() > 100, 'it goes to and fro')
      const before = hops()
      const busyUntil = performance.now() + 300
      while (performance.now() < busyUntil);
      const during = hops() - before
      assert.ok(during > 150, `${during} hops in 300 ms`)
    } finally {
      await rig.stop()
    }
  })
})
