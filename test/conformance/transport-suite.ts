/** What every transport has to pass, whatever it is made of. A transport's own file makes a harness and calls this. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { describe, it } from 'node:test'
import { IN } from '#src/dataplane/capture-record.js'
import { HEADER_SIZE } from '#src/wire/ethernet.js'
import { BROADCAST, frame } from '../support/frames.js'
import { Random, randomSeed } from '../support/random.js'
import { requirements } from '../support/requires.js'
import { addressOf, type Harness, type Rig, type RigOptions, type Station } from './rig.js'

/** Frames on their way at once where nothing may be lost; below every queue in the suite. */
const WINDOW = 128
/** Frames after which a peer that does not read must have filled whatever is between us. */
const MANY = 60_000
/** The same where the kernel loses them: more than any buffer asked for holds. */
const MANY_LOST = 12_000
const defaults: RigOptions = { maxFrameSize: 1518, queueFrames: 512 }

/** `needs`: what the transport needs of the machine, from `requirements()`. */
export function transportConformance(
  name: string,
  harness: Harness,
  needs: { skip: string | false } = { skip: false },
): void {
  const {
    window = WINDOW,
    oversize = [1519, 1520, 3000],
    backPressure = true,
    trueLengths = process.platform === 'linux',
    noticesDeparture = true,
    keepsPort = true,
    comesBack = true,
  } = harness
  const comeback = comesBack ? `, and gives one that comes back ${keepsPort ? 'its' : 'a'} port and counters` : ''
  const withRig =
    (test: (rig: Rig) => Promise<void>, options: Partial<RigOptions> = {}) =>
    async () => {
      const rig = await harness.start({ ...defaults, ...options })
      try {
        await test(rig)
      } finally {
        await rig.stop()
      }
    }

  describe(`transport ${name} (TAPSWITCH_SEED=${randomSeed})`, needs, () => {
    it(
      'opens, receives and transmits',
      withRig(async rig => {
        const [alice, bob] = await joinAll(rig, 2)
        await alice.send([frame(BROADCAST, addressOf(0))])
        assert.equal(hex(await one(bob)), hex(frame(BROADCAST, addressOf(0))))
        await bob.send([frame(addressOf(0), addressOf(1))])
        assert.equal(hex(await one(alice)), hex(frame(addressOf(0), addressOf(1))))
        await rig.until(
          'both are counted',
          () => rig.counters(0).transmitFrames === 1 && rig.counters(1).transmitFrames === 1,
        )
        assert.deepEqual([rig.counters(0).transmitBytes, rig.counters(1).transmitBytes], [60, 60])
      }),
    )

    for (const maxFrameSize of [1518, 9018]) {
      it(
        `keeps every byte and the order, for each size from 14 to ${maxFrameSize}`,
        withRig(
          async rig => {
            const [alice, bob] = await joinAll(rig, 2)
            const random = new Random(randomSeed)
            const sizes = Array.from({ length: maxFrameSize - 13 }, (_, i) => i + 14)
            const frames = sizes.map(size => randomFrame(random, addressOf(1), addressOf(0), size))
            for (let at = 0; at < frames.length; at += window) {
              const sent = frames.slice(at, at + window)
              const [, received] = await Promise.all([alice.send(sent), bob.receive(sent.length)])
              for (const [i, bytes] of received.entries()) assertSame(bytes, sent[i] as Uint8Array)
            }
          },
          { maxFrameSize },
        ),
      )
    }

    it(
      'delivers a run of frames longer than any batch, complete and in order',
      withRig(async rig => {
        const [alice, bob] = await joinAll(rig, 2)
        const frames = numbered(0, window < WINDOW ? window : 500, 1, 100)
        const [, received] = await Promise.all([alice.send(frames), bob.receive(frames.length)])
        assert.deepEqual(received.map(numberOf), frames.map(numberOf))
      }),
    )

    it(
      'refuses runts and frames that are too long, under their reasons, and goes on',
      withRig(async rig => {
        const [alice, bob] = await joinAll(rig, 2)
        const barrier = frame(addressOf(1), addressOf(0), 1518)
        await alice.send([barrier])
        await one(bob)
        const before = rig.counters(0)
        const long = oversize.map(length => frame(addressOf(1), addressOf(0), length))
        await alice.send([...harness.runts.map(length => new Uint8Array(length).fill(0xff)), ...long, barrier])
        assertSame(await one(bob), barrier)
        const { receiveDrops, receiveFrames } = rig.counters(0)
        assert.equal(receiveDrops.runt, harness.runts.length)
        assert.equal(receiveDrops.oversize, long.length)
        assert.equal(receiveFrames - before.receiveFrames, harness.runts.length + long.length + 1)
        if (trueLengths) {
          const sent = [...harness.runts, ...oversize, barrier.length].reduce((sum, length) => sum + length, 0)
          assert.equal(rig.counters(0).receiveBytes - before.receiveBytes, sent, 'counted as long as they were')
        }
      }),
    )

    it(
      'shows of a frame that is too long what its sender sent, and nothing of what others sent before',
      withRig(async rig => {
        const [alice, bob] = await joinAll(rig, 2)
        const [ours, others] = [0xbb, 0xaa]
        const filled = (to: number, from: number, length: number, octet: number) => {
          const bytes = frame(addressOf(to), addressOf(from), length)
          bytes.fill(octet, HEADER_SIZE)
          return bytes
        }
        // Slots and read buffers are full of Alice's frames.
        for (let round = 0; round < 3; round++) {
          await alice.send(Array.from({ length: 64 }, () => filled(1, 0, 1518, others)))
          await bob.receive(64)
        }
        const end = await rig.capture?.()
        if (end === undefined) return
        await bob.send([...oversize.map(length => filled(0, 1, length, ours)), filled(0, 1, 1518, ours)])
        await alice.receive(1)
        const portId = rig.port(1).id
        const records = (await end()).filter(record => record.direction === IN && record.portId === portId)
        const refused = records.filter(({ dropReason }) => dropReason === 'oversize')
        if (trueLengths)
          assert.deepEqual(
            refused.map(({ length }) => length),
            oversize,
          )
        assert.equal(refused.length, oversize.length)
        for (const { bytes, length } of records) {
          assert.ok(bytes.length > 1518 - HEADER_SIZE && bytes.length <= length)
          assert.ok(
            bytes.subarray(HEADER_SIZE).every(octet => octet === ours),
            'every byte is its own',
          )
        }
      }),
    )

    const departures = noticesDeparture ? it : () => {}
    departures(
      `notices that a peer has gone${comeback}`,
      withRig(async rig => {
        const [alice, bob] = await joinAll(rig, 2)
        await bob.send([frame(addressOf(0), addressOf(1))])
        await one(alice)
        const { id } = rig.port(1)
        const received = rig.counters(1).receiveFrames
        bob.leave()
        await alice.send([frame(addressOf(1), addressOf(0))])
        await rig.until('the port is down', () => !rig.port(1).up)
        assert.equal(rig.counters(1).up, false)
        if (!comesBack) return

        const again = await rig.join(1)
        assert.equal(rig.port(1).id === id, keepsPort)
        assert.equal(rig.counters(1).receiveFrames > received, keepsPort, 'its counters go on')
        await alice.send([frame(addressOf(1), addressOf(0), 77)])
        assert.equal((await one(again)).length, 77)
      }),
    )

    const returns = comesBack ? it : () => {}
    returns(
      'serves a peer that came back before anybody noticed that it had gone',
      withRig(async rig => {
        const [alice, bob] = await joinAll(rig, 2)
        const { id } = rig.port(1)
        bob.leave()
        const again = await rig.join(1)
        assert.equal(rig.port(1).id === id, keepsPort)
        await alice.send([frame(addressOf(1), addressOf(0), 77)])
        assert.equal((await one(again)).length, 77)
        await again.send([frame(addressOf(0), addressOf(1), 88)])
        assert.equal((await one(alice)).length, 88)
      }),
    )

    if (!backPressure) {
      it(
        'lets a peer that does not read stall nobody, and keeps the order of what gets through',
        withRig(async rig => {
          const [alice, bob, carol] = await joinAll(rig, 3)
          const each = Math.min(32, window / 2)
          bob.stall()
          let sent = 0
          for (; sent < MANY_LOST; sent += each) {
            const [, received] = await Promise.all([
              alice.send([...numbered(sent, each, 1, 1514), ...numbered(sent, each, 2, 200)]),
              carol.receive(each),
            ])
            assert.deepEqual(received.map(numberOf), range(sent, each))
          }
          await rig.until('all of it is counted', () => accounted(rig, 1) === sent)
          bob.resume()
          const got = [await one(bob)].map(numberOf)
          while (got[got.length - 1] !== sent) {
            // What his buffer had no room for is lost; so this may be, until he has taken what was in front of it.
            await alice.send(numbered(sent, 1, 1, 100))
            got.push(numberOf(await one(bob)))
          }
          assert.ok(
            got.every((number, i) => i === 0 || number > (got[i - 1] as number)),
            'in order, none twice',
          )
        }),
      )
    }

    const holdingBack = backPressure ? it : () => {}
    holdingBack(
      'lets a peer that does not read stall nobody, and keeps what it queued in order',
      withRig(
        async rig => {
          const [alice, bob, carol] = await joinAll(rig, 3)
          bob.stall()
          let sent = 0
          for (; rig.counters(1).transmitDrops['queue-full'] < 100 && sent < MANY; sent += 32) {
            const [, received] = await Promise.all([
              alice.send([...numbered(sent, 32, 1, 1514), ...numbered(sent, 32, 2, 200)]),
              carol.receive(32),
            ])
            assert.deepEqual(received.map(numberOf), range(sent, 32))
          }
          await rig.until('all of it is counted', () => accounted(rig, 1) === sent)
          const stalled = rig.counters(1)
          assert.ok(stalled.transmitDrops['queue-full'] >= 100, `nothing dropped after ${sent} frames`)
          assert.deepEqual([stalled.queueFrames, stalled.queueHighWater], [64, 64])
          assert.equal(rig.counters(2).transmitDrops['queue-full'], 0)

          bob.resume()
          const kept = sent - stalled.transmitDrops['queue-full']
          assert.deepEqual((await bob.receive(kept)).map(numberOf), range(0, kept))
          await rig.until('the queue is empty', () => rig.counters(1).queueFrames === 0)
          const barrier = frame(addressOf(1), addressOf(0), 99)
          await alice.send([barrier])
          assertSame(await one(bob), barrier)
        },
        { queueFrames: 64 },
      ),
    )

    for (const how of ['planned', 'crash'] as const) {
      it(
        how === 'planned'
          ? 'goes on with the same ports when the data plane is replaced in the middle of traffic'
          : 'goes on with the same ports when the data plane dies in the middle of traffic',
        withRig(async rig => {
          const [alice, bob] = await joinAll(rig, 2)
          const before = [rig.port(0), rig.port(1)].map(({ id, name }) => ({ id, name }))
          const counted = rig.counters(0).receiveFrames
          const sending = sendInParts(alice, 2000)
          const first = await bob.receive(100)
          const rest = receiveUntil(bob, 2063)
          await rig.replace(how)
          await sending
          await rig.until('both ports are up', () => rig.port(0).up && rig.port(1).up)
          // On a busy machine Bob may be so slow that frames are dropped and counted; these must all get there.
          await rig.until('the queue is empty', () => rig.counters(1).queueFrames === 0)
          await alice.send(numbered(2000, 64, 1, 100))
          const got = [...first, ...(await rest)].map(numberOf)

          assert.deepEqual(
            [rig.port(0), rig.port(1)].map(({ id, name }) => ({ id, name })),
            before,
          )
          assert.ok(
            got.every((number, i) => i === 0 || number > (got[i - 1] as number)),
            'in order, none twice',
          )
          const lost = 2064 - got.length - rig.counters(1).transmitDrops['queue-full']
          assert.ok(
            lost <= defaults.queueFrames + 64,
            `lost ${lost} uncounted: more than waited in a queue and a batch`,
          )
          assert.ok(rig.counters(0).receiveFrames >= counted + got.length, 'its counters go on')
          await bob.send([frame(addressOf(0), addressOf(1), 88)])
          assert.equal((await one(alice)).length, 88)
        }),
      )
    }

    it('closes without leaving descriptors or files behind', requirements({ platform: 'linux' }), async () => {
      const live = async () => {
        const rig = await harness.start(defaults)
        try {
          const [alice, bob] = await joinAll(rig, 2)
          await alice.send([frame(addressOf(1), addressOf(0))])
          await one(bob)
          bob.leave()
          if (comesBack) await rig.join(1)
        } catch (error) {
          await rig.stop()
          throw error
        }
        return rig.stop()
      }
      assert.deepEqual(await live(), [])
      const before = readdirSync('/proc/self/fd').length
      assert.deepEqual(await live(), [])
      assert.equal(readdirSync('/proc/self/fd').length, before)
    })
  })
}

async function joinAll(rig: Rig, count: 2): Promise<[Station, Station]>
async function joinAll(rig: Rig, count: 3): Promise<[Station, Station, Station]>
async function joinAll(rig: Rig, count: number): Promise<Station[]> {
  const stations: Station[] = []
  for (let i = 0; i < count; i++) stations.push(await rig.join(i))
  return stations
}

/** Few enough at a time that something is always on its way while the data plane is replaced. */
async function sendInParts(station: Station, count: number): Promise<void> {
  for (let at = 0; at < count; at += 16) {
    await station.send(numbered(at, 16, 1, 100))
    await new Promise(resolve => setImmediate(resolve))
  }
}

async function receiveUntil(station: Station, last: number): Promise<Uint8Array[]> {
  const received: Uint8Array[] = []
  for (;;) {
    const next = await one(station)
    received.push(next)
    if (numberOf(next) >= last) return received
  }
}

async function one(station: Station): Promise<Uint8Array> {
  const [received] = await station.receive(1)
  return received as Uint8Array
}

/** Frames from station 0, numbered behind the header. */
function numbered(first: number, count: number, to: number, length: number): Uint8Array[] {
  return range(first, count).map(number => {
    const bytes = frame(addressOf(to), addressOf(0), length)
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(14, number)
    return bytes
  })
}

const numberOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(14)
const range = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

function randomFrame(random: Random, to: string, from: string, length: number): Uint8Array {
  const bytes = frame(to, from, length)
  random.fill(bytes.subarray(12))
  return bytes
}

function assertSame(actual: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(actual, expected) !== 0) assert.equal(hex(actual), hex(expected))
}

/** Frames for this station that the switch is done with or holds. */
function accounted(rig: Rig, number: number): number {
  const { transmitFrames, queueFrames, transmitDrops } = rig.counters(number)
  return transmitFrames + queueFrames + Object.values(transmitDrops).reduce((sum, count) => sum + count, 0)
}
