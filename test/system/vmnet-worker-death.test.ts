/**
 * The thread that moves frames dies while it has a vmnet interface. The interface is the process's, so the next thread
 * takes it over, and vmnet is asked nothing.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { parseConfig } from '#src/config/load.js'
import { resolveConfig } from '#src/config/resolve.js'
import { ControlPlane } from '#src/control/control-plane.js'
import { DataPlane } from '#src/dataplane/data-plane.js'
import type { Command } from '#src/dataplane/messages.js'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numbered, numberOf } from '../support/numbered.js'
import { recordingLogger } from '../support/recording-logger.js'
import { requirements } from '../support/requires.js'
import { until } from '../support/until.js'
import { type Standin, standinNeeds } from '../support/vmnet-standin.js'
import { useStandin } from '../unit/vmnet/use-standin.js'

const interfaces = [{ name: 'uplink', type: 'vmnet', mode: 'shared' }]
const transports = [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }]

describe('a data plane that dies with a vmnet interface', { ...requirements(standinNeeds), timeout: 120_000 }, () => {
  let lab: Lab
  let standin: Standin
  let control: ControlPlane
  let dataPlane: DataPlane
  let threads: Worker[]
  const noteThread = (thread: Worker) => threads.push(thread)

  const deaths = {
    // It is refused, as the thread ends before it answers.
    'by an exception': () => assert.rejects(dataPlane.command({ type: 'nonsense' } as unknown as Command)),
    'ended from outside': async () => {
      await threads.at(-1)?.terminate()
    },
  }

  beforeEach(async () => {
    lab = await Lab.open()
    standin = useStandin()
    threads = []
    process.on('worker', noteThread)
    // The control plane shows its data plane to nobody; a test that kills it has to.
    const start = mock.method(DataPlane.prototype, 'start')
    const file = lab.path('switch.yaml')
    const text = JSON.stringify({ runtimeDir: lab.folder, interfaces, transports, http: false })
    const scope = {
      file,
      platform: process.platform,
      env: {},
      uid: process.getuid?.() ?? 0,
      accountNumber: () => undefined,
      primaryGroup: () => undefined,
    }
    control = await ControlPlane.start(resolveConfig(parseConfig(text, file), scope), recordingLogger())
    dataPlane = start.mock.calls[0]?.this as DataPlane
    start.mock.restore()
  })

  afterEach(async () => {
    await control.stop()
    process.off('worker', noteThread)
    await standin.nothingLeft()
    await lab.close()
  })

  async function written(number: number): Promise<void> {
    await until(() => standin.count('collected') > 0, `frame ${number} is written`)
    assert.equal(numberOf(standin.take() as Buffer), number)
    assert.equal(standin.take(), undefined)
  }

  for (const [how, kill] of Object.entries(deaths)) {
    it(`${how} is replaced by one that goes on with it`, async () => {
      const alice = lab.qemu('alice.sock', 'vms.sock')
      await alice.send(numbered(BOB, ALICE, 1))
      await written(1)
      standin.inject(numbered(ALICE, BOB, 2))
      assert.equal(numberOf(await alice.receive()), 2)

      const killed = kill()
      for (let number = 3; number < 8; number++) standin.inject(numbered(ALICE, BOB, number))
      await killed
      await eventually(
        () => control.view.info().dataplane,
        ({ restarts, alive }) => restarts === 1 && alive,
        'it was replaced',
        10_000,
      )
      // The thread that died may have had some of these in its hands, so one more.
      standin.inject(numbered(ALICE, BOB, 8))
      const received: number[] = []
      while (received.at(-1) !== 8) received.push(numberOf(await alice.receive()))
      assert.deepEqual(received, [...received].sort())
      await alice.send(numbered(BOB, ALICE, 9))
      await written(9)
      assert.equal(standin.lastInterface, standin.describe().number)
      assert.equal(standin.live('interface'), 1)
    })
  }
})
