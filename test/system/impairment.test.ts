/**
 * What leaves through a port suffers as it was told to, the same each time; and single frames are written into the log.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numbered, numberOf } from '../support/numbered.js'
import type { RawPeer } from '../support/raw-peer.js'
import type { SwitchProcess } from '../support/switch-process.js'

const FRAMES = 500

describe('a port', { timeout: 120_000 }, () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.open()
  })

  afterEach(() => lab.close())

  /** Two VMs with a path each; `port` is the policy of Bob's. */
  const config = (port: object) => ({
    transports: [
      { name: 'alice', type: 'unixgram', listen: 'to-alice.sock', peers: 'one' },
      { name: 'bob', type: 'unixgram', listen: 'to-bob.sock', peers: 'one', port },
    ],
  })

  async function start(port: object): Promise<{ running: SwitchProcess; alice: RawPeer; bob: RawPeer }> {
    const running = await lab.startSwitch(config(port))
    const alice = lab.qemu('alice.sock', 'to-alice.sock')
    const bob = lab.qemu('bob.sock', 'to-bob.sock')
    await bob.send(frame(BOB, BOB))
    await alice.send(frame(ALICE, ALICE))
    await eventually(
      () => running.api.fdb(),
      entries => entries.length === 2,
      'both are known',
    )
    return { running, alice, bob }
  }

  /** Alice sends; resolves with what got through to Bob, once all is accounted for. */
  async function through({ running, alice, bob }: Awaited<ReturnType<typeof start>>): Promise<number[]> {
    for (let i = 0; i < FRAMES; i++) await alice.send(numbered(BOB, ALICE, i))
    const port = (await running.api.ports()).find(({ name }) => name === 'bob')
    const { counters } = await running.api.portWhen(
      port?.id ?? 0,
      ({ counters: { transmitFrames, queueFrames, transmitDrops } }) =>
        transmitFrames + queueFrames + transmitDrops.impaired >= FRAMES,
      'every frame was sent, waits, or was lost',
    )
    const received = await bob.receiveMany(counters.transmitFrames + counters.queueFrames)
    assert.equal(received.length + counters.transmitDrops.impaired, FRAMES)
    return received.map(numberOf)
  }

  it('loses the same frames in every run of the switch, and counts them', async () => {
    const runs: number[][] = []
    for (let run = 0; run < 2; run++) {
      const started = await start({ impairment: { loss: 20, seed: 11 } })
      runs.push(await through(started))
      started.alice.close({ unlink: true })
      started.bob.close({ unlink: true })
      await started.running.stop()
    }
    assert.ok((runs[0] as number[]).length > 300 && (runs[0] as number[]).length < 480, `${runs[0]?.length}`)
    assert.deepEqual(runs[1], runs[0])
  })

  it('delays its own frames and nobody else, until the file says otherwise', async () => {
    const { running, alice, bob } = await start({ impairment: { delayMs: 300 } })
    const sentAt = performance.now()
    await alice.send(frame(BOB, ALICE))
    await bob.send(frame(ALICE, BOB))
    await alice.receive()
    const direct = performance.now() - sentAt
    await bob.receive()
    const delayed = performance.now() - sentAt
    assert.ok(delayed >= 300, `${delayed} ms`)
    assert.ok(direct < delayed, `${direct} ms the other way`)

    await running.reload({ ...config({}), http: { listen: '127.0.0.1:0' } })
    const again = performance.now()
    await alice.send(frame(BOB, ALICE))
    await bob.receive()
    assert.ok(performance.now() - again < 300, 'no delay any more')
  })

  it('writes single frames into the log when it is traced', async () => {
    const { running, alice, bob } = await start({ trace: true })
    await alice.send(frame(BOB, ALICE, 77))
    await bob.receive()
    await bob.send(frame(ALICE, BOB, 88))
    await alice.receive()
    const line = (direction: string, length: number) =>
      running.logged(each => each.msg === 'frame' && each.direction === direction && each.length === length)
    const { port, source, destination, etherType } = await line('transmit', 77)
    assert.deepEqual([port, source, destination, etherType], ['bob', ALICE, BOB, '0x88b5'])
    assert.equal((await line('receive', 88)).port, 'bob')
    assert.equal(
      running.log.some(each => each.msg === 'frame' && each.port === 'alice'),
      false,
    )
  })
})
