/**
 * A VM that stops reading must cost the others nothing: it gets what fits its queue, the rest is dropped and counted.
 *
 * Alice and Bob exchange frames as fast as they can. Dave sends all the while, in every other window to Carol, who
 * reads, and in between to Erin, who does not, and to everyone. Judged is the ratio of neighbouring windows, so it does
 * not matter how fast this machine is. What else it does makes single ratios vary by a factor of two; so windows are
 * short and many, and where their median is not clear yet, more are taken.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { PortView } from '#src/control/view.js'
import { eventually } from '../support/eventually.js'
import { BROADCAST, CAROL, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numbered, numberOf, sourceOf } from '../support/numbered.js'
import type { RawPeer } from '../support/raw-peer.js'
import type { SwitchApi } from '../support/switch-api.js'
import { Traffic } from '../support/traffic.js'
import type { TrafficWindow } from '../support/traffic-thread.js'

const DAVE = '02:00:00:00:00:0d'
const ERIN = '02:00:00:00:00:0e'
const leastPairs = 50
const mostPairs = 200
const windowMs = 20
const queueFrames = 256
const vms = { name: 'vms', type: 'unixgram', listen: 'vms.sock', port: { queueFrames } }
const vm1 = { name: 'vm1', type: 'unixgram', listen: 'vm1.sock', peers: 'one', port: { queueFrames } }

describe('a peer that stops reading', { timeout: 180_000 }, () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.open()
  })

  afterEach(() => lab.close())

  for (const [style, listen] of [
    ['qemu', 'vms.sock'],
    ['vfkit', 'vms.sock'],
    ['qemu', 'vm1.sock'],
    ['vfkit', 'vm1.sock'],
  ] as const) {
    it(`leaves the others their throughput (${style} on ${listen})`, async t => {
      const { api } = await lab.startSwitch({ transports: [vms, vm1] })
      const traffic = await Traffic.start({
        listen: lab.path('vms.sock'),
        sender: lab.path('alice.sock'),
        receiver: lab.path('bob.sock'),
      })
      lab.onClose(() => traffic.stop())
      const dave = lab.qemu('dave.sock', 'vms.sock')
      const carol = lab.qemu('carol.sock', 'vms.sock')
      const erin = style === 'qemu' ? lab.qemu('erin.sock', listen) : lab.vfkit('erin.sock', listen)
      const { id } = await introduce(api, erin, ERIN)
      await introduce(api, carol, CAROL)
      await fill(dave, async () => (await api.port(id)).counters.transmitDrops['queue-full'])
      const before = (await api.port(id)).counters

      const toReader = Array.from({ length: 8 }, () => frame(CAROL, DAVE))
      const toStalled = [frame(BROADCAST, DAVE), ...Array.from({ length: 7 }, () => frame(ERIN, DAVE))]
      const ratios: number[] = []
      const stalled: TrafficWindow[] = []
      do {
        const reading = await during(traffic, dave, carol, toReader)
        const silent = await during(traffic, dave, carol, toStalled)
        stalled.push(silent)
        ratios.push(rate(silent) / rate(reading))
      } while (ratios.length < leastPairs || (median(ratios) < 0.9 && ratios.length < mostPairs))

      const { counters } = await api.port(id)
      const longest = Math.max(...stalled.map(each => each.longest))
      t.diagnostic(
        `${(100 * median(ratios)).toFixed(0)} % of the throughput in ${ratios.length} pairs of windows; ` +
          `longest round ${longest.toFixed(1)} ms`,
      )
      assert.ok(counters.transmitDrops['queue-full'] > before.transmitDrops['queue-full'], 'Erin was sent to')
      assert.equal(counters.transmitFrames, before.transmitFrames, 'and got nothing')
      assert.equal(counters.queueFrames, queueFrames)
      assert.ok(median(ratios) >= 0.9, `a median of ${median(ratios).toFixed(3)}`)
      assert.equal(
        stalled.reduce((sum, { late }) => sum + late, 0),
        0,
        'nothing was late or lost',
      )

      await wakesUp(erin, dave)
      await api.portWhen(id, port => port.counters.queueFrames === 0, 'her queue is empty')
    })
  }

  async function introduce(api: SwitchApi, peer: RawPeer, mac: string): Promise<PortView> {
    await peer.send(frame(mac, mac))
    await eventually(
      () => api.fdb(),
      entries => entries.some(entry => entry.mac === mac),
      `${mac} is known`,
    )
    return api.portOf(peer.path as string)
  }

  /**
   * Sends until the kernel's buffers and the switch's queue are full: some thousands of frames where the socket is her
   * own.
   */
  async function fill(dave: RawPeer, drops: () => Promise<number>): Promise<void> {
    const burst = Array.from({ length: 256 }, () => frame(ERIN, DAVE, 1514))
    for (let attempt = 0; (await drops()) === 0; attempt++) {
      assert.ok(attempt < 100, 'Erin holds more than she should')
      await dave.send(burst)
    }
  }

  /** Traffic for a window, with Dave sending a burst every millisecond and Carol reading. */
  async function during(
    traffic: Traffic,
    dave: RawPeer,
    carol: RawPeer,
    burst: readonly Uint8Array[],
  ): Promise<TrafficWindow> {
    let over = false
    const window = traffic.window(windowMs).finally(() => {
      over = true
    })
    while (!over) {
      dave.sendNow(burst)
      carol.receiveNow()
      await delay(1)
    }
    return window
  }

  /** Erin reads again: what waited comes first, then what is new. */
  async function wakesUp(erin: RawPeer, dave: RawPeer): Promise<void> {
    const last = 0xffff_ffff
    for (let attempt = 0; attempt < 100; attempt++) {
      erin.receiveNow()
      await dave.send(numbered(ERIN, DAVE, last))
      for (;;) {
        const got = await erin.receive(100).catch(() => undefined)
        if (got === undefined) break
        if (sourceOf(got) === DAVE && numberOf(got) === last) return
      }
    }
    assert.fail('Erin got nothing new after she read again')
  }
})

const rate = ({ frames, seconds }: TrafficWindow) => frames / seconds

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
