/**
 * The thread that moves frames dies, and another takes over. Here the control plane runs in the test's own process,
 * where the thread can be reached: by an exception in it, and by ending it from outside, whatever it was doing.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { parseConfig } from '#src/config/load.js'
import { resolveConfig } from '#src/config/resolve.js'
import { ControlPlane } from '#src/control/control-plane.js'
import { DataPlane } from '#src/dataplane/data-plane.js'
import type { Command } from '#src/dataplane/messages.js'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, BROADCAST, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numbered, numberOf, sourceOf } from '../support/numbered.js'
import { readPcapng } from '../support/pcapng.js'
import type { RawPeer } from '../support/raw-peer.js'
import { recordingLogger } from '../support/recording-logger.js'

const transports = [
  { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
  { name: 'vm1', type: 'unixgram', listen: 'vm1.sock', peers: 'one' },
  { name: 'vm2', type: 'unixgram', listen: 'vm2.sock', peers: 'one' },
]

const whole = { offset: 0, limit: 10_000 }

describe('a data plane that dies', { timeout: 120_000 }, () => {
  let lab: Lab
  let control: ControlPlane
  let dataPlane: DataPlane
  let threads: Worker[]
  let descriptorsBefore: number
  const noteThread = (thread: Worker) => threads.push(thread)

  const deaths = {
    'by an exception': () => dataPlane.command({ type: 'nonsense' } as unknown as Command).catch(() => {}),
    'ended from outside': async () => {
      await threads.at(-1)?.terminate()
    },
  }

  beforeEach(async () => {
    lab = await Lab.open()
    descriptorsBefore = openDescriptors()
    threads = []
    process.on('worker', noteThread)
    // The control plane shows its data plane to nobody; a test that kills it has to.
    const start = mock.method(DataPlane.prototype, 'start')
    control = await ControlPlane.start(configure(), recordingLogger())
    dataPlane = start.mock.calls[0]?.this as DataPlane
    start.mock.restore()
  })

  afterEach(async () => {
    await control.stop()
    process.off('worker', noteThread)
    await lab.close()
  })

  function configure(maxFrameSize = 1518): Parameters<typeof ControlPlane.start>[0] {
    const file = lab.path('switch.yaml')
    const text = JSON.stringify({ runtimeDir: lab.folder, switch: { maxFrameSize }, transports, http: false })
    return resolveConfig(parseConfig(text, file), {
      file,
      platform: process.platform,
      env: {},
      uid: process.getuid?.() ?? 0,
      accountNumber: () => undefined,
      primaryGroup: () => undefined,
    })
  }

  const restarted = (count: number) =>
    eventually(
      () => control.view.info().dataplane,
      ({ restarts, alive }) => restarts === count && alive,
      `restart ${count}`,
      10_000,
    )

  /** Five peers of every kind; each has sent once. */
  async function plugInAll(): Promise<RawPeer[]> {
    const peers = [
      lab.qemu('a.sock', 'vms.sock'),
      lab.vfkit('b.sock', 'vms.sock'),
      lab.vfkit('c.sock', 'vms.sock'),
      lab.qemu('d.sock', 'vm1.sock'),
      lab.vfkit('e.sock', 'vm2.sock'),
    ]
    for (const [i, peer] of peers.entries()) {
      await peer.send(frame(macs(i), macs(i)))
      await eventually(
        async () => [control.view.ports(), (await control.view.fdb(whole)).entries] as const,
        ([ports, entries]) =>
          ports.some(({ up, peer: path }) => up && path === peer.path) && entries.some(({ mac }) => mac === macs(i)),
        `${peer.path} is known`,
      )
    }
    return peers
  }

  /** One frame from each to each other, which must get that and nothing else. */
  async function everyPair(peers: RawPeer[], number: number): Promise<void> {
    for (const [i, from] of peers.entries()) {
      for (const [k, to] of peers.entries()) {
        if (i === k) continue
        await from.send(numbered(macs(k), macs(i), number))
        const got = await to.receive()
        assert.deepEqual([sourceOf(got), numberOf(got)], [macs(i), number])
      }
    }
    for (const peer of peers) assert.deepEqual(peer.receiveNow(), [])
  }

  const stateOf = () => control.view.ports().map(({ id, name, peer, up }) => ({ id, name, peer, up }))
  const addresses = async () =>
    (await control.view.fdb(whole)).entries.map(({ mac, portId }) => `${mac} ${portId}`).sort()
  const framesIn = () => control.view.ports().map(({ counters }) => counters.receiveFrames)

  for (const [how, kill] of Object.entries(deaths)) {
    it(`${how} is replaced, and no peer has to do anything`, async () => {
      const peers = await plugInAll()
      await everyPair(peers, 1)
      const before = { ports: stateOf(), addresses: await addresses(), frames: framesIn() }
      const { fdbLearned } = control.view.info().counters

      await kill()
      await restarted(1)
      assert.deepEqual(stateOf(), before.ports)
      assert.deepEqual(await addresses(), before.addresses)
      assert.deepEqual(framesIn(), before.frames)

      await everyPair(peers, 2)
      assert.deepEqual(
        framesIn(),
        before.frames.map(count => count + peers.length - 1),
      )
      assert.equal(control.view.info().counters.fdbLearned, fdbLearned, 'nothing had to be learned again')
      assert.equal(control.view.info().counters.floods['unknown-unicast'], 0)
    })

    it(`${how} again and again is replaced each time`, async () => {
      const peers = await plugInAll()
      const before = stateOf()
      for (let death = 1; death <= 3; death++) {
        await kill()
        await restarted(death)
        await everyPair(peers, death)
      }
      assert.deepEqual(stateOf(), before)
    })

    it(`${how} keeps what was sent meanwhile, and notices who went meanwhile`, async () => {
      const peers = await plugInAll()
      const [alice, , carol, dave] = peers as [RawPeer, RawPeer, RawPeer, RawPeer]
      const killed = kill()
      // As many as a socket queue holds; the new thread finds them there.
      await alice.send([1, 2, 3, 4, 5].map(number => numbered(macs(3), macs(0), number)))
      carol.close()
      await killed
      await restarted(1)
      assert.deepEqual((await dave.receiveMany(5)).map(numberOf), [1, 2, 3, 4, 5])
      await eventually(
        () => stateOf(),
        ports => ports.filter(({ up }) => up).length === peers.length - 1,
        'the port of the peer that went is down',
      )
      await everyPair([alice, peers[1] as RawPeer], 7)
      const late = lab.vfkit('late.sock', 'vms.sock')
      await late.send(frame(ALICE, BOB))
      await eventually(
        () => stateOf(),
        ports => ports.some(({ peer, up }) => peer === late.path && up),
        'a new peer is served',
      )
    })
  }

  for (const when of ['as soon as it died', 'while the next one starts'] as const) {
    it(`leaves nothing behind when the switch is stopped ${when}`, async () => {
      const peers = await plugInAll()
      const [thread] = threads as [Worker]
      const died = new Promise(resolve => thread.once('exit', resolve))
      await Promise.all([thread.terminate(), died])
      if (when === 'while the next one starts') {
        await eventually(
          () => threads.length,
          count => count === 2,
          'the next thread is made',
        )
      }
      await control.stop()
      assert.deepEqual(
        readdirSync(lab.folder).sort(),
        peers.map(({ path }) => path?.slice(lab.folder.length + 1)).sort(),
      )
      // A thread that is still there would keep this process alive, and turn over descriptors that others have by then.
      await eventually(
        () => threads.map(({ threadId }) => threadId),
        ids => ids.every(id => id === -1),
        'every thread has ended',
      )
      for (const peer of peers) peer.close()
      await eventually(openDescriptors, count => count <= descriptorsBefore, 'every descriptor is closed')
    })
  }

  it('is not replaced once the switch was stopped', async () => {
    await control.stop()
    assert.equal(threads.length, 1)
    assert.equal(threads[0]?.threadId, -1)
    assert.equal(control.view.info().dataplane.restarts, 0)
    assert.deepEqual(readdirSync(lab.folder), [])
  })

  it('does not keep larger frames from being allowed', async () => {
    const [alice, bob] = (await plugInAll()) as [RawPeer, RawPeer]
    const [thread] = threads as [Worker]
    await thread.terminate()
    await eventually(
      () => threads.length,
      count => count === 2,
      'the next thread is made, with the old settings',
    )
    await control.reload(configure(9018))
    await eventually(
      () => control.view.ready(),
      isReady => isReady,
      'the switch is ready again',
    )
    await alice.send(frame(macs(1), macs(0), 9018))
    assert.equal((await bob.receive()).length, 9018)
    assert.equal(control.view.info().dataplane.restarts, 1, 'the second change of threads was wanted')
  })

  it('does not end a capture', async () => {
    const [alice] = (await plugInAll()) as [RawPeer]
    const options = { portId: null, snapLength: 65_550, filter: 'less 61', seconds: 60, maxBytes: 1_000_000 }
    const capture = await control.captures.start(options)
    const chunks: Buffer[] = []
    capture.file.on('data', chunk => chunks.push(chunk))
    const ended = once(capture.file, 'end')
    const captured = async () => {
      await alice.send(frame(BROADCAST, macs(0)))
      return capture.bytes
    }
    const before = await eventually(captured, bytes => bytes > 500, 'frames in the capture')
    await threads.at(-1)?.terminate()
    await restarted(1)
    await eventually(captured, bytes => bytes > before + 500, 'more frames in the capture')
    await capture.stop()
    await ended
    const { packets } = readPcapng(Buffer.concat(chunks))
    assert.ok(packets.length > 4)
  })

  it('does not keep a transport from being removed', async () => {
    const peers = await plugInAll()
    const [thread] = threads as [Worker]
    const ended = thread.terminate()
    const [vms] = configure().transports
    assert.ok(vms)
    const report = await control.reload({ ...configure(), transports: [vms] })
    await ended
    assert.deepEqual(report.removed, ['vm1', 'vm2'])
    await restarted(1)
    assert.deepEqual(
      stateOf().map(({ name }) => name),
      ['vms:1', 'vms:2', 'vms:3'],
    )
    await everyPair(peers.slice(0, 3), 1)
  })
})

const macs = (i: number) => `02:00:00:00:02:0${i}`

/** Of this process; where the system does not show them, nothing is counted. */
function openDescriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
}
