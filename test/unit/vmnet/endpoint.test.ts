import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { frame } from '../../support/frames.js'
import { requirements } from '../../support/requires.js'
import { type Standin, standinNeeds } from '../../support/vmnet-standin.js'
import { ONE, TurningRig, TWO } from './turning-rig.js'
import { useStandin } from './use-standin.js'

describe("the vmnet interface's half on the data plane", requirements(standinNeeds), () => {
  let standin: Standin
  let rig: TurningRig
  beforeEach(() => {
    standin = useStandin('ring 512')
    rig = new TurningRig(standin)
  })
  afterEach(async () => {
    await rig.stop()
    standin.control('reset')
    await standin.nothingLeft()
  })

  const toTwo = (length = 60) => frame(TWO, ONE, length)
  const arrived = () => {
    let count = 0
    while (rig.take(1) !== undefined) count++
    return count
  }
  /** Frames to the second station that are accounted for, in whatever way. */
  const settled = () => {
    const { transmitFrames, transmitDrops } = rig.counters(1)
    return transmitFrames + Object.values(transmitDrops).reduce((sum, each) => sum + each, 0)
  }

  it('moves what waits in batches, until there is nothing', async () => {
    await rig.start()
    rig.inject(0, toTwo(), 200)
    await rig.until(() => rig.counters(1).transmitFrames === 200)
    assert.equal(arrived(), 200)
    assert.equal(rig.count('writes', 1), Math.ceil(200 / 64))
  })

  it('finds what arrived before anybody was told', async () => {
    standin.control('event-delay 2000000')
    rig = new TurningRig(standin)
    await rig.start()
    rig.inject(0, toTwo())
    await rig.turns(3)
    assert.equal(rig.counters(1).transmitFrames, 1, 'within the time that it goes on asking')
    standin.control('event-delay 0')
  })

  it('stops asking when nothing comes, and is told then', async () => {
    await rig.start()
    await rig.turns(300, 1)
    const reads = rig.count('reads', 0)
    await rig.turns(500, 1)
    assert.ok(rig.count('reads', 0) - reads <= 4, 'the tick of each second apart')
    rig.inject(0, toTwo())
    await rig.until(() => rig.counters(1).transmitFrames === 1)
  })

  it('offers again what vmnet did not take, in order and once', async () => {
    await rig.start()
    for (const what of ['write-take 11 1', 'write-take 1 3', 'write-status 1007 2', 'write-status 1009 2']) {
      standin.control(what)
      for (let length = 60; length < 80; length++) rig.inject(0, toTwo(length))
      const before = rig.counters(1).transmitFrames
      await rig.until(() => rig.counters(1).transmitFrames === before + 20)
      for (let length = 60; length < 80; length++) assert.equal(rig.take(1)?.length, length, what)
    }
    assert.deepEqual(rig.messages, [])
  })

  it('drops and counts what vmnet has not taken for five seconds', async () => {
    await rig.start()
    standin.control('write-status 1007')
    rig.inject(0, toTwo(), 20)
    await rig.until(() => rig.counters(1).queueFrames === 20)
    await rig.turns(45, 100)
    assert.equal(rig.counters(1).queueFrames, 20)
    await rig.turns(20, 100)
    assert.deepEqual([rig.counters(1).queueFrames, rig.counters(1).transmitDrops.error], [0, 20])
    standin.control('write-status 1007 1')
    rig.inject(0, toTwo())
    await rig.until(() => rig.counters(1).transmitFrames === 1)
  })

  it('offers the frames of a batch that was refused one at a time, and drops the one that is refused alone', async () => {
    await rig.start()
    standin.control('write-status 1003 2')
    rig.inject(0, toTwo(), 20)
    await rig.until(() => settled() === 20)
    assert.deepEqual([rig.counters(1).transmitFrames, rig.counters(1).transmitDrops.error], [19, 1])
    assert.equal(arrived(), 19)
    assert.deepEqual(rig.messages, [{ type: 'failed', call: 'write', status: 1003 }])
    rig.inject(0, toTwo(), 40)
    const writes = rig.count('writes', 1)
    await rig.until(() => settled() === 60)
    assert.ok(rig.count('writes', 1) - writes <= 3, 'in batches again')
  })

  it('makes smaller batches where vmnet says that there are too many packets', async () => {
    await rig.start()
    standin.control('max-packets 10')
    rig.inject(0, toTwo(), 100)
    await rig.until(() => rig.counters(1).transmitFrames === 100)
    assert.equal(arrived(), 100)
    assert.deepEqual(rig.counters(1).transmitDrops.error, 0)
  })

  it('reports a status that goes on once a second, and goes on', async () => {
    await rig.start()
    standin.control('read-status 1001')
    await rig.turns(40, 50)
    const reports = rig.messages.filter(({ call, status }) => call === 'read' && status === 1001)
    assert.ok(reports.length >= 1 && reports.length <= 6, `${reports.length} reports of two interfaces in 2 s`)
    standin.control('read-status 0')
    rig.inject(0, toTwo())
    await rig.turns(2, 1000)
    await rig.until(() => rig.counters(1).transmitFrames === 1)
  })

  it('drops frames that are longer than the interface takes before vmnet sees them, whatever the policy says', async () => {
    await rig.start(1400)
    const policy = { maxFrameSize: 1518, maxEntries: 0, isolated: false, queueFrames: 256 }
    rig.command({ type: 'set-policy', name: 'vm1', policy })
    rig.inject(0, toTwo(1414))
    await rig.until(() => rig.counters(1).transmitFrames === 1)
    // Only the first station's own interface could bring a longer one; so it comes through the egress of the second
    // directly.
    assert.equal(rig.thread.core.maxFrameSize[1], 1414)
    assert.equal(rig.count('writes', 1), 1)
  })

  it('takes runts and frames that the switch does not allow from vmnet, for the switch to count', async () => {
    await rig.start(3000)
    rig.inject(0, toTwo(1519))
    rig.inject(0, toTwo(3014))
    rig.inject(0, new Uint8Array(13))
    rig.inject(0, toTwo(1518))
    await rig.until(() => rig.counters(1).transmitFrames === 1)
    const { oversize, runt } = rig.counters(0).receiveDrops
    assert.deepEqual([oversize, runt], [2, 1])
    assert.equal(rig.take(1)?.length, 1518)
  })

  it('writes large frames in calls of at most 256 KiB, without a pause between them', async () => {
    await rig.start(9000, 9018)
    rig.inject(0, toTwo(9014), 64)
    await rig.until(() => rig.counters(1).transmitFrames === 64)
    assert.equal(arrived(), 64)
    assert.equal(rig.counters(1).queueHighWater, 0)
  })
})
