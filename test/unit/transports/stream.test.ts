import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { FrameSplitter } from '#src/transports/stream/frame-splitter.js'
import { encodePrefix } from '#src/transports/stream/framing.js'
import { addressOf, type Station } from '../../conformance/rig.js'
import { type Family, type Role, StreamRig } from '../../conformance/stream-rig.js'
import { BROADCAST, frame } from '../../support/frames.js'
import { numbered, numberOf } from '../../support/numbered.js'
import { Random, randomSeed } from '../../support/random.js'
import type { StreamPeer } from '../../support/stream-peer.js'
import { until } from '../../support/until.js'

const MAX_FRAME = 1518
const [ALICE, BOB] = [addressOf(0), addressOf(1)]

describe(`stream (TAPSWITCH_SEED=${randomSeed})`, () => {
  let rig: StreamRig

  const start = async (role: Role = 'many', family: Family = 'unix', queueFrames = 512) => {
    rig = new StreamRig(role, family, 'qemu', { maxFrameSize: MAX_FRAME, queueFrames })
    await rig.start()
  }
  afterEach(() => rig.stop())

  const pair = async (): Promise<[Station, Station]> => [await rig.join(0), await rig.join(1)]

  for (const [what, bytes] of [
    ['0', [0, 0, 0, 0]],
    ['more than any frame has', [0, 1, 0x10, 1]],
    ['the largest number', [255, 255, 255, 255]],
  ] as const) {
    it(`closes a connection that announces a length of ${what}, and that one only`, async () => {
      await start()
      const [alice, bob] = await pair()
      const rogue = await rig.connect()
      await until(() => rig.dataPlane.ports.size === 3, 'it has a port')
      await rogue.sendBytes(Uint8Array.from(bytes))
      await until(() => rogue.ended, 'it is closed')
      await until(() => rig.dataPlane.ports.size === 2, 'its port is gone')
      assert.equal(rig.drops()['bad-length'], 1)
      await alice.send([frame(BOB, ALICE, 77)])
      assert.equal((await bob.receive(1))[0]?.length, 77)
    })
  }

  it('takes frames from a peer that writes a byte at a time', async () => {
    await start()
    const bob = await rig.join(1)
    const slow = await rig.connect()
    slow.socket.setNoDelay(true)
    const bytes = numbered(BOB, ALICE, 7, 100)
    for (const byte of Buffer.concat([encodePrefix('qemu', 100), bytes])) await slow.sendBytes(Uint8Array.of(byte))
    assert.deepEqual(Buffer.from((await bob.receive(1))[0] as Uint8Array), Buffer.from(bytes))
  })

  it('lets peers that stop in the middle of a frame disturb nobody', async () => {
    await start()
    const [alice, bob] = await pair()
    for (let i = 0; i < 10; i++) await (await rig.connect()).sendBytes(Uint8Array.of(0, 0, 5, 0, 1, 2, 3))
    for (let i = 0; i < 20; i++) {
      await alice.send([numbered(BOB, ALICE, i, 500)])
      assert.equal(numberOf((await bob.receive(1))[0] as Uint8Array), i)
    }
  })

  it('closes connections beyond its limit', async () => {
    await start()
    const peers: StreamPeer[] = []
    for (let i = 0; i < 20; i++) peers.push(await rig.connect())
    await until(() => peers.filter(({ ended }) => ended).length === 4, 'four too many are closed')
    assert.equal(rig.drops()['peer-limit'], 4)
    peers.find(({ ended }) => !ended)?.leave()
    await until(() => rig.dataPlane.ports.size === 15, 'there is a place again')
    await rig.connect()
    await until(() => rig.dataPlane.ports.size === 16, 'it is taken')
  })

  it('keeps the one peer it has when another comes', async () => {
    await start('one')
    const [alice, bob] = await pair()
    const second = await rig.connect(1)
    await until(() => second.ended, 'the second one is closed')
    assert.equal(rig.drops(1)['peer-limit'], 1)
    await alice.send([frame(BOB, ALICE, 77)])
    assert.equal((await bob.receive(1))[0]?.length, 77)
  })

  it('never cuts a frame, however much a slow peer misses', async () => {
    await start('many', 'unix', 64)
    const [alice, bob] = await pair()
    const random = new Random(randomSeed)
    const sent = new Map<number, Uint8Array>()
    let number = 0
    const dropped = () => rig.counters(1).transmitDrops['queue-full']
    for (let cycle = 0; cycle < 4; cycle++) {
      bob.stall()
      const before = dropped()
      for (let round = 0; dropped() === before; round++) {
        assert.ok(round < 1000, 'he takes it all')
        const frames = Array.from({ length: 50 }, () => {
          const bytes = numbered(BOB, ALICE, number, random.between(60, MAX_FRAME))
          random.fill(bytes.subarray(18))
          sent.set(number++, bytes)
          return bytes
        })
        await alice.send(frames)
      }
      // Reads a little, then stops again, wherever in a frame that is.
      bob.resume()
      await new Promise(resolve => setImmediate(resolve))
    }
    await until(() => rig.counters(0).receiveFrames >= number, 'the switch has all')
    bob.resume()
    await until(() => rig.counters(1).queueFrames === 0, 'nothing waits')
    const missed = dropped()
    const received = await bob.receive(number - missed)
    let last = -1
    for (const bytes of received) {
      const at = numberOf(bytes)
      assert.ok(at > last)
      last = at
      assert.deepEqual(Buffer.from(bytes), Buffer.from(sent.get(at) as Uint8Array))
    }
  })

  for (const how of ['planned', 'crash'] as const) {
    it(`goes on in the middle of a frame when the data plane is replaced: ${how}`, async () => {
      await start()
      const [alice, bob] = await pair()
      const half = await rig.connect()
      const bytes = numbered(BOB, addressOf(9), 5, 1000)
      const whole = Buffer.concat([encodePrefix('qemu', 1000), bytes])
      await half.sendBytes(whole.subarray(0, 500))
      // Bob's socket is full, so that a frame to him stops halfway.
      bob.stall()
      let number = 0
      while (rig.counters(1).queueFrames === 0) await alice.send([numbered(BOB, ALICE, number++, 1400)])
      await rig.replace(how)
      await half.sendBytes(whole.subarray(500))
      bob.resume()
      const got: Uint8Array[] = []
      while (got.at(-1)?.length !== 1000) got.push((await bob.receive(1))[0] as Uint8Array)
      assert.deepEqual(Buffer.from(got.pop() as Uint8Array), Buffer.from(bytes))
      assert.ok(
        got.every(
          (each, i) => each.length === 1400 && (i === 0 || numberOf(each) > numberOf(got[i - 1] as Uint8Array)),
        ),
      )
      assert.equal(rig.drops()['cut-off'], 0)
    })
  }

  it('finds the server again after it was away, tells of each change once, and of reasons', async () => {
    await start('connect')
    const alice = await rig.join(0)
    alice.leave()
    await until(() => rig.reports.some(({ event }) => event === 'connect-failed'), 'attempts fail')
    await rig.join(0)
    assert.deepEqual(
      rig.reports.map(({ event }) => event),
      ['connected', 'disconnected', 'connect-failed', 'connected'],
    )
    assert.match(rig.reports[2]?.message as string, /ENOENT|ECONNREFUSED/)
  })

  for (const family of ['unix', 'tcp4'] as const) {
    it(`outlives ten thousand connections that are opened and dropped, ${family}`, { timeout: 120_000 }, async () => {
      await start('many', family)
      const [alice, bob] = await pair()
      let number = 0
      for (let round = 0; round < 625; round++) {
        const peers = await Promise.all(Array.from({ length: 16 }, () => rig.connect().catch(() => null)))
        for (const peer of peers) peer?.leave()
        if (round % 25 !== 0) continue
        await alice.send([numbered(BOB, ALICE, number, 100)])
        assert.equal(numberOf((await bob.receive(1))[0] as Uint8Array), number++)
      }
      await until(() => rig.dataPlane.ports.size === 2, 'their ports are gone')
      assert.equal(rig.dataPlane.trouble(), undefined)
      assert.equal(rig.dataPlane.restarts, 0)
    })
  }

  it('reaches everybody with a broadcast', async () => {
    await start('many', 'tcp4')
    const stations = [await rig.join(0), await rig.join(1), await rig.join(2)]
    await stations[0]?.send([frame(BROADCAST, ALICE, 200)])
    for (const station of stations.slice(1)) assert.equal((await station.receive(1))[0]?.length, 200)
  })
})

describe('FrameSplitter', () => {
  it('finds the same frames however the stream is cut', () => {
    const random = new Random(randomSeed)
    const frames = Array.from({ length: 200 }, () => {
      const bytes = new Uint8Array(random.between(1, 3000))
      random.fill(bytes)
      return bytes
    })
    const stream = Buffer.concat(frames.flatMap(each => [encodePrefix('qemu', each.length), each]))
    for (const longest of [1, 2, 7, 100, 5000, 100_000]) {
      const found: Uint8Array[] = []
      const splitter = new FrameSplitter(each => found.push(each))
      for (let at = 0; at < stream.length; ) {
        const length = random.between(1, longest)
        splitter.push(stream.subarray(at, at + length))
        at += length
      }
      assert.deepEqual(Buffer.concat(found), Buffer.concat(frames))
      assert.deepEqual(
        found.map(({ length }) => length),
        frames.map(({ length }) => length),
      )
    }
  })

  it('throws at what cannot be a length', () => {
    for (const bytes of [
      [0, 0, 0, 0],
      [255, 0, 0, 0],
    ]) {
      assert.throws(() => new FrameSplitter(() => {}).push(Uint8Array.from(bytes)), RangeError)
    }
  })
})
