/** The loop over poll(2), recvmsg(2) and sendmsg(2), as on a kernel that has no calls for many messages at once. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { ALICE, arpReply, arpRequest, BOB, CAROL, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numberedRun, numberOf } from '../support/numbered.js'
import type { SwitchProcess } from '../support/switch-process.js'

describe('the switch over portable system calls', { timeout: 60_000 }, () => {
  let lab: Lab
  let running: SwitchProcess

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch(
      {
        transports: [
          { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
          { name: 'vm1', type: 'unixgram', listen: 'vm1.sock', peers: 'one' },
        ],
      },
      { env: { TAPSWITCH_OS: 'portable' } },
    )
  })

  after(() => lab.close())

  it('moves frames between QEMU, vfkit and a path of its own', async () => {
    const alice = lab.qemu('alice.sock', 'vms.sock')
    const carol = lab.qemu('carol.sock', 'vm1.sock')
    await carol.send(frame(CAROL, CAROL))
    const bob = lab.vfkit('bob.sock', 'vms.sock')
    await bob.send(frame(BOB, BOB))
    await running.logged(line => line.msg === 'port up' && line.peer === bob.path)

    await alice.send(arpRequest)
    assert.deepEqual(await bob.receive(), arpRequest)
    assert.deepEqual(await carol.receive(), arpRequest)
    await bob.send(arpReply)
    assert.deepEqual(await alice.receive(), arpReply)
    await carol.expectSilence(alice, frame(CAROL, ALICE))

    const burst = numberedRun(CAROL, ALICE, 0, 1000)
    await alice.send(burst)
    assert.deepEqual((await carol.receiveMany(1000)).map(numberOf), burst.map(numberOf))
  })

  it('counts what it moved', async () => {
    const { receiveFrames, receiveBytes } = (await running.api.portOf(lab.path('alice.sock'))).counters
    assert.deepEqual({ receiveFrames, receiveBytes }, { receiveFrames: 1002, receiveBytes: 42 + 60 + 60_000 })
  })

  it('stops when told to', async () => {
    assert.deepEqual(await running.stop(), { code: 0, signal: null })
  })
})
