/** SIGHUP: the file is read again, and whoever is not concerned does not notice. */
import assert from 'node:assert/strict'
import { existsSync, lstatSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, BROADCAST, CAROL, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numbered, numberOf, sourceOf } from '../support/numbered.js'
import type { RawPeer } from '../support/raw-peer.js'
import type { LogLine, SwitchProcess } from '../support/switch-process.js'

const vms = { name: 'vms', type: 'unixgram', listen: 'vms.sock' }
const vm1 = { name: 'vm1', type: 'unixgram', listen: 'vm1.sock', peers: 'one' }
const late = { name: 'late', type: 'unixgram', listen: 'late.sock' }
const http = { listen: '127.0.0.1:0' }

describe('a switch that reads its file again', { timeout: 60_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let alice: RawPeer
  let bob: RawPeer

  beforeEach(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ transports: [vms, vm1], http })
    alice = lab.qemu('alice.sock', 'vms.sock')
    bob = lab.vfkit('bob.sock', 'vms.sock')
    await alice.send(frame(ALICE, ALICE))
    await bob.send(frame(BOB, BOB))
    await eventually(
      () => running.api.fdb(),
      entries => entries.length === 2,
      'both are known',
    )
  })

  afterEach(() => lab.close())

  const inode = (name: string) => lstatSync(lab.path(name)).ino

  /** Sends a frame from Alice to Bob every millisecond while `work` goes on. Resolves with how many Bob did not get. */
  async function lostDuring(work: () => Promise<unknown>): Promise<{ sent: number; lost: number }> {
    let sent = 0
    let busy = true
    const sending = (async () => {
      while (busy) {
        await alice.send(numbered(BOB, ALICE, sent++))
        await delay(1)
      }
    })()
    await work()
    busy = false
    await sending
    await alice.send(numbered(BOB, ALICE, sent++))
    const got: number[] = []
    while (got.at(-1) !== sent - 1) got.push(numberOf(await bob.receive()))
    assert.deepEqual(
      got,
      [...got].sort((a, b) => a - b),
      'in order',
    )
    return { sent, lost: sent - got.length }
  }

  const report = ({ added, removed, kept, changed, needsRestart }: LogLine) => ({
    added,
    removed,
    kept,
    changed,
    needsRestart,
  })

  it('opens what is new and closes what is gone while others go on', async () => {
    const before = inode('vms.sock')
    let line: LogLine | undefined
    const added = await lostDuring(async () => {
      line = await running.reload({ transports: [vms, vm1, late], http })
    })
    assert.ok(line)
    assert.deepEqual(report(line), {
      added: ['late'],
      removed: [],
      kept: ['vms', 'vm1'],
      changed: [],
      needsRestart: [],
    })
    const carol = lab.qemu('carol.sock', 'late.sock')
    await carol.send(frame(BOB, CAROL))
    assert.equal(sourceOf(await bob.receive()), CAROL)

    const removed = await lostDuring(async () => {
      line = await running.reload({ transports: [vms], http })
    })
    assert.deepEqual(report(line), {
      added: [],
      removed: ['vm1', 'late'],
      kept: ['vms'],
      changed: [],
      needsRestart: [],
    })
    assert.deepEqual([added.lost, removed.lost], [0, 0])
    assert.equal(inode('vms.sock'), before)
    assert.deepEqual([existsSync(lab.path('vm1.sock')), existsSync(lab.path('late.sock'))], [false, false])
    assert.equal(carol.sendNow(frame(BROADCAST, CAROL)).error, 'ENOENT')
    const ports = await running.api.ports()
    assert.deepEqual(ports.map(({ name, up }) => [name, up]).sort(), [
      ['vms:1', true],
      ['vms:2', true],
    ])
    assert.deepEqual((await running.api.fdb()).map(({ mac }) => mac).sort(), [ALICE, BOB])
  })

  it('opens a transport anew whose path changed', async () => {
    const line = await running.reload({ transports: [vms, { ...vm1, listen: 'other.sock' }], http })
    assert.deepEqual(line.changed, ['vm1'])
    assert.deepEqual(line.kept, ['vms'])
    assert.equal(existsSync(lab.path('vm1.sock')), false)
    const carol = lab.qemu('carol.sock', 'other.sock')
    await carol.send(frame(BOB, CAROL))
    assert.equal(sourceOf(await bob.receive()), CAROL)
  })

  it('applies a changed policy to ports that are there', async () => {
    const before = inode('vms.sock')
    const ids = (await running.api.ports()).map(({ id }) => id)
    const policy = { isolated: true, maxFrameSize: 1000 }
    const line = await running.reload({ transports: [{ ...vms, port: policy }, vm1], http })
    assert.deepEqual(line.changed, ['vms'])

    await alice.send([numbered(BOB, ALICE, 1), numbered(BROADCAST, ALICE, 2), frame(BOB, ALICE, 1001)])
    await eventually(
      () => running.api.portOf(alice.path as string),
      ({ counters }) => counters.receiveDrops.isolated === 1 && counters.receiveDrops.oversize === 1,
      'isolated from each other, and no more than 1000 bytes',
    )
    const carol = lab.qemu('carol.sock', 'vm1.sock')
    await carol.send(frame(CAROL, CAROL))
    await eventually(
      () => running.api.fdb(),
      entries => entries.some(({ mac }) => mac === CAROL),
      'Carol is known',
    )
    await alice.send(frame(CAROL, ALICE, 1000))
    assert.equal((await carol.receive()).length, 1000)
    assert.deepEqual(bob.receiveNow(), [])

    await running.reload({ transports: [vms, vm1], http })
    await alice.send(frame(BOB, ALICE, 1518))
    assert.equal((await bob.receive()).length, 1518)
    assert.equal(inode('vms.sock'), before)
    assert.deepEqual((await running.api.ports()).map(({ id }) => id), ids) // biome-ignore format: one row
  })

  it('replaces the data plane for a larger frame, and the peers go on', async () => {
    const socket = inode('vms.sock')
    const before = await running.api.ports()
    const during = await lostDuring(async () => {
      const line = await running.reload({ switch: { maxFrameSize: 9018 }, transports: [vms, vm1], http })
      assert.deepEqual([line.added, line.removed, line.needsRestart], [[], [], []])
    })
    assert.equal(inode('vms.sock'), socket)
    // What waits in the socket is not lost; a batch that the old thread had in its hands may be.
    assert.ok(during.lost <= 64, `${during.lost} of ${during.sent} lost`)
    await alice.send(frame(BOB, ALICE, 9018))
    assert.equal((await bob.receive()).length, 9018)
    const after = await running.api.ports()
    assert.deepEqual(
      after.map(({ id, name, peer, up }) => ({ id, name, peer, up })),
      before.map(({ id, name, peer, up }) => ({ id, name, peer, up })),
    )
    const info = await running.api.info()
    assert.deepEqual([info.maxFrameSize, info.dataplane.restarts], [9018, 0])
  })

  it('applies changed table limits without a new data plane', async () => {
    const fdb = { maxEntriesPerPort: 2, ageingSeconds: 1 }
    await running.reload({ switch: { fdb }, transports: [vms, vm1], http })
    for (let i = 0; i < 4; i++) await alice.send(frame(BOB, `02:00:00:00:07:0${i}`))
    await bob.receiveMany(4)
    await eventually(
      () => running.api.info(),
      ({ counters }) => counters.fdbRefused > 0 && counters.fdbAged > 0,
      'refused beyond two, and forgotten after a second',
      10_000,
    )
  })

  it('is left as it is by a file that is not valid, or cannot be applied', async () => {
    const before = inode('vms.sock')
    const busy = lab.qemu('busy.sock', 'vms.sock')
    const attempts: [object, object][] = [
      [{ transports: [vms, vms], http }, { code: 'TAPSWITCH_CONFIG' }],
      [{ transport: [], http }, { code: 'TAPSWITCH_CONFIG' }],
      [{ transports: [vms, vm1, { ...late, listen: 'busy.sock' }], http }, { code: 'TAPSWITCH_OPERATOR' }],
      [{ transports: [vms, vm1, { ...late, listen: 'no/such/late.sock' }], http }, { code: 'TAPSWITCH_OPERATOR' }],
      [{ transports: [{ ...late, listen: 'no/such/late.sock' }, vm1], http }, { code: 'TAPSWITCH_OPERATOR' }],
      [{ transports: [vms, { ...vm1, listen: 'switch.yaml' }], http }, { code: 'TAPSWITCH_OPERATOR' }],
    ]
    const during = await lostDuring(async () => {
      for (const [config, expected] of attempts) {
        const lines = running.log.length
        const line = await running.reload(config)
        assert.equal(line.msg, 'configuration not reloaded, the running one stays', JSON.stringify(config))
        assert.deepEqual({ code: line.code }, expected)
        assert.deepEqual(
          running.log.slice(lines).map(({ msg }) => msg),
          ['configuration not reloaded, the running one stays'],
        )
      }
      const lines = running.log.length
      await writeFile(running.file, 'transports: [')
      running.kill('SIGHUP')
      await running.logged((line, i) => i >= lines && /^configuration not reloaded/.test(line.msg))
    })
    assert.deepEqual(during.lost, 0)
    assert.equal(inode('vms.sock'), before)
    assert.equal(existsSync(lab.path('late.sock')), false)
    const carol = lab.qemu('carol.sock', 'vm1.sock')
    await carol.send(frame(BOB, CAROL))
    assert.equal(sourceOf(await bob.receive()), CAROL)
    busy.close()
    const { info, ready } = { info: await running.api.info(), ready: await fetch(`${running.url}/readyz`) }
    assert.equal(ready.status, 200)
    assert.equal(info.dataplane.restarts, 0)
  })
})
