/**
 * One guest sends as fast as it can, another one on the same transport a frame now and then: the second one loses
 * nothing worth mentioning.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { eventually } from '../../support/eventually.js'
import type { FloodSettings } from '../../support/flood-thread.js'
import { Flooder, pings } from '../../support/flooder.js'
import { ALICE, BOB, BROADCAST, frame } from '../../support/frames.js'
import { Lab } from '../../support/lab.js'
import { numbered, numberOf, sourceOf } from '../../support/numbered.js'
import { requirements } from '../../support/requires.js'
import { scale } from '../../support/scale.js'
import { StreamPeer } from '../../support/stream-peer.js'
import { WebSocketPeer } from '../../support/websocket-peer.js'

const MALLORY = '02:00:00:00:00:66'
const isLong = scale > 1
const COUNT = isLong ? Math.round(50 * scale) : 50
const EVERY_MS = isLong ? 100 : 30
/** The short form runs beside others; milliseconds. */
const MEDIAN_MS = isLong ? 20 : 500
const LENGTH = 77

interface Kind {
  kind: FloodSettings['kind']
  transport: object
  /** Sends Alice's frames to where the transport listens. */
  alice(lab: Lab, listen: string): Promise<(bytes: Uint8Array) => Promise<unknown>>
}

const kinds: Kind[] = [
  {
    kind: 'unixgram',
    transport: { listen: 'many.sock' },
    async alice(lab) {
      const peer = lab.qemu('alice.sock', 'many.sock')
      return bytes => peer.send(bytes)
    },
  },
  {
    kind: 'stream',
    transport: { listen: 'many.sock' },
    async alice(lab) {
      const peer = await StreamPeer.connect({ path: lab.path('many.sock') })
      lab.onClose(async () => peer.leave())
      return bytes => peer.send([bytes])
    },
  },
  {
    kind: 'websocket',
    transport: { listen: '127.0.0.1:0/ethernet' },
    async alice(lab, listen) {
      const peer = await WebSocketPeer.connect(listen)
      lab.onClose(async () => peer.ws.terminate())
      return bytes => peer.send([bytes])
    },
  },
]

describe('a flooder beside a guest that pings', {
  ...requirements({ platform: 'linux' }),
  timeout: 60_000 * scale,
}, () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.open()
  })
  afterEach(() => lab.close())

  for (const { kind, transport, alice } of kinds) {
    it(kind, async () => {
      const running = await lab.startSwitch({
        transports: [
          { name: 'many', type: kind, ...transport },
          { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
        ],
      })
      const where = String((await running.api.transport('many')).listen)
      const sendTo = kind === 'websocket' ? where : lab.path('many.sock')
      const settings = { kind, frame: frame(MALLORY, MALLORY, 1400), from: lab.path('mallory.sock'), sendTo }
      const send = await alice(lab, sendTo)
      const bob = lab.qemu('bob.sock', 'vms.sock')
      await bob.send(frame(BROADCAST, BOB))
      const flooder = await Flooder.start(settings)
      lab.onClose(() => flooder.stop())
      flooder.go(true)
      await send(frame(BROADCAST, ALICE))
      await eventually(
        () => running.api.fdb(),
        entries => [ALICE, BOB].every(mac => entries.some(entry => entry.mac === mac)),
        'Alice and Bob are known',
      )
      const { sent, lost, median } = await pings({
        count: COUNT,
        everyMs: EVERY_MS,
        send: number => send(numbered(BOB, ALICE, number, LENGTH)),
        arrived: () =>
          bob
            .receiveNow()
            .filter(bytes => bytes.length === LENGTH && sourceOf(bytes) === ALICE)
            .map(numberOf),
      })
      flooder.go(false)
      const seen = `${lost} of ${sent} lost, half took ${median.toFixed(1)} ms or more, beside ${flooder.sent} frames`
      if (isLong) console.log(kind, seen)
      assert.ok(lost <= Math.ceil(sent / 100), seen)
      assert.ok(median < MEDIAN_MS, seen)
    })
  }
})
