/** A switch that ends and comes back on the same paths, and one that finds its paths taken. */
import assert from 'node:assert/strict'
import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { ALICE, BOB, BROADCAST, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numbered, numberOf, sourceOf } from '../support/numbered.js'
import type { RawPeer } from '../support/raw-peer.js'
import { SwitchProcess } from '../support/switch-process.js'

const transports = [
  { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
  { name: 'vm1', type: 'unixgram', listen: 'vm1.sock', peers: 'one' },
]

describe('a switch on paths that were used before', { timeout: 60_000 }, () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.open()
  })

  afterEach(() => lab.close())

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`serves the same peers after ${signal}`, async () => {
      const first = await lab.startSwitch({ transports })
      const alice = lab.qemu('alice.sock', 'vms.sock')
      const bob = lab.qemu('bob.sock', 'vm1.sock')
      await talk(alice, bob, 1)

      first.kill(signal)
      await first.exited
      assert.equal(existsSync(lab.path('vms.sock')), signal === 'SIGKILL', 'a socket file is left only by a crash')

      const second = await lab.startSwitch({ transports })
      await talk(alice, bob, 2)
      const names = (await second.api.ports()).map(({ name, up }) => [name, up])
      assert.deepEqual(names.sort(), [
        ['vm1', true],
        ['vms:1', true],
      ])
      assert.deepEqual(await second.stop(), { code: 0, signal: null })
      assert.deepEqual(readdirSync(lab.folder).sort(), ['alice.sock', 'bob.sock', 'control.token', 'switch.yaml'])
    })
  }

  it('is refused where another one runs, which does not notice', async () => {
    const first = await lab.startSwitch({ transports })
    const alice = lab.qemu('alice.sock', 'vms.sock')
    const bob = lab.qemu('bob.sock', 'vm1.sock')
    await talk(alice, bob, 1)
    const inodes = transports.map(({ listen }) => lstatSync(lab.path(listen)).ino)

    for (const transport of transports) {
      const refusal = await SwitchProcess.refused(lab.folder, { transports: [transport], http: false })
      assert.equal(refusal.code, 1)
      assert.deepEqual(
        refusal.errors.map(({ msg }) => msg),
        [`transport "${transport.name}": another process listens on "${lab.path(transport.listen)}"`],
      )
    }

    assert.deepEqual(
      transports.map(({ listen }) => lstatSync(lab.path(listen)).ino),
      inodes,
    )
    await talk(alice, bob, 2)
    assert.deepEqual((await first.api.info()).dataplane.restarts, 0)
  })
})

/** One frame each way. The first to speak is not heard by a peer that the switch does not know yet. */
async function talk(alice: RawPeer, bob: RawPeer, number: number): Promise<void> {
  await bob.send(frame(BOB, BOB))
  for (let attempt = 0; ; attempt++) {
    await alice.send(numbered(BROADCAST, ALICE, number))
    const heard = await bob.receive(attempt < 10 ? 200 : 5000).catch(error => {
      if (attempt < 10) return undefined
      throw error
    })
    if (heard !== undefined) {
      assert.equal(numberOf(heard), number)
      break
    }
  }
  await bob.send(frame(ALICE, BOB))
  assert.equal(sourceOf(await alice.receive()), BOB)
}
