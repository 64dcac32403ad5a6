/** The switch keeps its size: over a million frames, and after its queues were full. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { BATCH } from '#src/dataplane/receive-batch.js'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, CAROL, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numberedRun, numberOf } from '../support/numbered.js'
import type { RawPeer } from '../support/raw-peer.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'

const mebibyte = 1024 * 1024
const queueFrames = 4096
const policy = { port: { queueFrames } }

describe('the memory of the switch', { ...requirements({ platform: 'linux' }), timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let alice: RawPeer
  let bob: RawPeer

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({
      transports: ['vm1', 'vm2', 'vm3'].map(name => ({
        name,
        type: 'unixgram',
        listen: `${name}.sock`,
        peers: 'one',
        ...policy,
      })),
    })
    alice = lab.qemu('alice.sock', 'vm1.sock')
    bob = lab.qemu('bob.sock', 'vm2.sock')
    await introduce(alice, ALICE)
    await introduce(bob, BOB)
  })

  after(() => lab.close())

  async function introduce(peer: RawPeer, mac: string): Promise<void> {
    await peer.send(frame(mac, mac))
    await eventually(
      () => running.api.fdb(),
      entries => entries.some(entry => entry.mac === mac),
      `${mac} is known`,
    )
  }

  /** Bytes that are in memory. */
  function residentSize(): number {
    const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${running.pid}/status`, 'utf8')) ?? []
    return Number(kibibytes) * 1024
  }

  async function move(frames: number): Promise<void> {
    const burst = numberedRun(BOB, ALICE, 0, 64)
    for (let sent = 0; sent < frames; sent += burst.length) {
      await alice.send(burst, 20_000)
      const got = await bob.receiveMany(burst.length, 20_000)
      assert.equal(numberOf(got[burst.length - 1] as Uint8Array), burst.length - 1)
    }
  }

  it('is modest at the start', t => {
    const size = residentSize()
    t.diagnostic(`${(size / mebibyte).toFixed(0)} MiB`)
    assert.ok(size < 192 * mebibyte)
  })

  it('does not grow over a million frames', async t => {
    // Compiled code and a heap that has not been collected yet come first; growth is counted from there.
    await move(200_000)
    const before = residentSize()
    await move(1_000_000)
    const grown = residentSize() - before
    t.diagnostic(`${(before / mebibyte).toFixed(1)} MiB, then ${(grown / mebibyte).toFixed(1)} MiB more`)
    assert.ok(grown < 24 * mebibyte, `${grown} bytes more`)
  })

  it('has every buffer back after queues were full', async t => {
    const { api } = running
    const carol = lab.qemu('carol.sock', 'vm3.sock')
    await introduce(carol, CAROL)
    /** Buffers held by queues; the loop itself always holds a batch. */
    const held = async () => {
      const { poolSlots, poolFree } = (await api.info()).counters
      return poolSlots - poolFree - BATCH
    }
    const queued = async () => (await api.portOf(carol.path as string)).counters
    await eventually(held, count => count === 0, 'nothing waits')
    const sizes: number[] = []
    const burst = Array.from({ length: 512 }, () => frame(CAROL, ALICE, 1518))
    for (let round = 0; round < 4; round++) {
      const dropped = (await queued()).transmitDrops['queue-full']
      for (let attempt = 0; (await queued()).transmitDrops['queue-full'] === dropped; attempt++) {
        assert.ok(attempt < 100, 'the queue fills')
        await alice.send(burst, 20_000)
      }
      const full = await queued()
      assert.equal(full.queueFrames, queueFrames)
      await eventually(held, count => count === queueFrames, 'what waits is in memory')
      await carol.receiveMany(queueFrames, 20_000)
      await eventually(
        async () => carol.receiveNow().length + (await queued()).queueFrames,
        left => left === 0,
        'all that waited was delivered',
      )
      await eventually(held, count => count === 0, 'every buffer is free again')
      sizes.push(residentSize())
    }
    t.diagnostic(sizes.map(size => `${(size / mebibyte).toFixed(1)} MiB`).join(', '))
    assert.ok((sizes.at(-1) ?? 0) - (sizes[0] ?? 0) < 24 * mebibyte)
  })
})
