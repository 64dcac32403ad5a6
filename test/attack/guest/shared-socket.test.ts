/**
 * Clients of vfkit's kind that connect before any of them sends share one socket of the switch. One of them does not
 * read: the others lose no frame, and it is served again when it reads.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../../support/eventually.js'
import { ALICE, BOB, BROADCAST, CAROL, frame, vfktHandshake } from '../../support/frames.js'
import { Lab } from '../../support/lab.js'
import type { RawPeer } from '../../support/raw-peer.js'
import { requirements } from '../../support/requires.js'
import { scale } from '../../support/scale.js'
import type { SwitchProcess } from '../../support/switch-process.js'

const LENGTH = 1514
/** Frames to all, and some to Bob, in one round; few enough for the queue of a port. */
const BURST = 48
/** More frames than the largest socket buffer holds: 3640. */
const ROUNDS = Math.round(92 * scale)

const limits = {
  'a large send buffer': { through: [], packages: [] },
  // Without CAP_NET_ADMIN a socket has what net.core.wmem_max allows: 184 frames by default.
  'the default send buffer': {
    through: ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'],
    packages: ['setpriv'],
  },
}

for (const [title, { through, packages }] of Object.entries(limits)) {
  const needs = requirements({ platform: 'linux', root: packages.length > 0, commands: packages })
  describe(`a client that does not read beside one that does, with ${title}`, needs, () => {
    let lab: Lab
    let running: SwitchProcess
    let alice: RawPeer
    let bob: RawPeer
    let zombie: RawPeer

    beforeEach(async () => {
      lab = await Lab.open()
      const port = { queueFrames: 256 }
      const transports = [
        { name: 'vms', type: 'unixgram', listen: 'vms.sock', port },
        { name: 'other', type: 'unixgram', listen: 'other.sock', port },
      ]
      running = await lab.startSwitch({ transports }, { through })
      // Neither has sent anything when the other connects.
      const connectTo = lab.path('vms.sock')
      zombie = lab.qemu('zombie.sock', 'vms.sock', { connectTo })
      bob = lab.qemu('bob.sock', 'vms.sock', { connectTo })
      alice = lab.qemu('alice.sock', 'other.sock')
    })

    afterEach(async () => {
      await lab.close()
    })

    const portOf = (peer: RawPeer) => running.api.portOf(peer.path as string)

    const join = async (peer: RawPeer, mac: string) => {
      await peer.send([vfktHandshake, frame(BROADCAST, mac)])
      await eventually(
        () => running.api.ports(),
        ports => ports.some(({ peer: path, up }) => up && path === peer.path),
        'its port is up',
      )
    }

    /** Alice sends to all and to Bob; Bob reads and has to get all of both. */
    const round = async () => {
      const burst = Array.from({ length: BURST }, (_, i) => frame(i % 8 === 0 ? BOB : BROADCAST, ALICE, LENGTH))
      await alice.send(burst)
      const got = await bob.receiveMany(BURST)
      assert.ok(got.every(({ length }) => length === LENGTH))
    }
    const rounds = async (count: number) => {
      for (let i = 0; i < count; i++) await round()
    }

    it('costs the other no frame, and none of its time, and is served when it reads again', async () => {
      await join(zombie, CAROL)
      await join(bob, BOB)
      await alice.send(frame(BROADCAST, ALICE))
      while ((await bob.receive())[11] !== 0x0a);
      await rounds(ROUNDS)
      const { counters } = await portOf(bob)
      assert.equal(counters.transmitDrops['queue-full'], 0)
      // A frame now and then.
      for (let i = 0; i < 5; i++) {
        await alice.send(frame(BOB, ALICE, 77))
        assert.equal((await bob.receive()).length, 77)
      }
      assert.ok((await portOf(zombie)).counters.transmitDrops['queue-full'] > 0, 'the sleeper lost some')
      // Its queue is full: what it holds comes first, and then there is room.
      zombie.receiveNow()
      await eventually(
        async () => {
          await alice.send(frame(CAROL, ALICE, 99))
          await delay(10)
          return zombie.receiveNow()
        },
        got => got.some(({ length }) => length === 99),
        'the sleeper is served again',
      )
      await rounds(4)
    })

    it('leaves room for one that speaks later', async () => {
      await join(zombie, CAROL)
      for (let i = 0; i < ROUNDS; i++)
        await alice.send(Array.from({ length: BURST }, () => frame(CAROL, ALICE, LENGTH)))
      await join(bob, BOB)
      await alice.send(frame(BROADCAST, ALICE))
      while ((await bob.receive())[11] !== 0x0a);
      await rounds(8)
    })
  })
}
