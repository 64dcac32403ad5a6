/** The table of remotes against a map with times; the sender against a kernel that takes what it likes. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FramePool } from '#src/dataplane/frame-pool.js'
import { linuxLayout } from '#src/os/layout.js'
import { NativeMemory } from '#src/os/native-memory.js'
import type { Os } from '#src/os/os.js'
import type { SegmentVector } from '#src/os/segment-vector.js'
import { ALL, RemoteTable } from '#src/transports/vxlan/remote-table.js'
import { type Destination, VxlanSender } from '#src/transports/vxlan/sender.js'
import { BROADCAST, frame, macOf, putMac } from '../support/frames.js'
import { viewOf } from '../support/memory-at.js'
import { Random, randomSeed } from '../support/random.js'

const stationOf = (i: number) => `02:00:00:00:02:${i.toString(16).padStart(2, '0')}`

describe(`the remotes of MAC addresses (TAPSWITCH_SEED=${randomSeed})`, () => {
  it('are what a map with times would say', () => {
    const random = new Random(randomSeed)
    const ageingMs = 1000
    const table = new RemoteTable(64, 8, ageingMs, randomSeed)
    const model = new Map<number, { remote: number; seen: number }>()
    let now = 5000
    for (let step = 0; step < 30_000; step++) {
      const station = random.between(0, 40)
      const bytes = frame(stationOf(station), stationOf(station))
      const known = model.get(station)
      const valid = known !== undefined && now - known.seen <= ageingMs
      switch (random.between(0, 9)) {
        case 0:
          now += random.between(0, 700)
          break
        case 1: {
          const remote = random.between(0, 7)
          table.forget(remote)
          for (const [key, entry] of model) if (entry.remote === remote) model.delete(key)
          break
        }
        case 2:
          table.age(now)
          break
        case 3:
        case 4:
        case 5: {
          const remote = random.between(0, 7)
          table.learn(bytes, 0, remote, now)
          model.set(station, { remote, seen: now })
          break
        }
        default:
          assert.equal(table.lookup(bytes, 0, now), valid ? known.remote : ALL, `step ${step}`)
      }
    }
  })

  it('are bounded, and nobody who is known loses its place', () => {
    const table = new RemoteTable(16, 4, 300_000, randomSeed)
    for (let i = 0; i < 200; i++) table.learn(frame(stationOf(0), stationOf(i)), 0, i % 4, 1000)
    assert.equal(table.size, 16)
    const known = Array.from({ length: 16 }, (_, i) => table.lookup(frame(stationOf(i), stationOf(0)), 0, 2000))
    assert.deepEqual(
      known,
      Array.from({ length: 16 }, (_, i) => i % 4),
    )
    assert.equal(table.lookup(frame(stationOf(17), stationOf(0)), 0, 2000), ALL)
  })

  it('are not learned from groups and nobody', () => {
    const table = new RemoteTable(16, 4, 300_000, 1)
    for (const source of [BROADCAST, '01:00:5e:00:00:01', '00:00:00:00:00:00']) {
      table.learn(frame(stationOf(1), source), 0, 1, 1000)
    }
    assert.equal(table.size, 0)
    assert.equal(table.lookup(frame(BROADCAST, stationOf(1)), 0, 1000), ALL)
  })
})

const EIO = 5
const EHOSTUNREACH = 113

/** What was sent: to whom, which frame (by its number). */
interface Sent {
  fd: number
  to: number
  number: number
}

describe(`the sender of a VXLAN network (TAPSWITCH_SEED=${randomSeed})`, () => {
  const cases = [1, 3].flatMap(sockets => [true, false].map(joins => ({ sockets, joins })))
  for (const { sockets, joins } of cases) {
    const title = `${sockets} source ports, a kernel that ${joins ? 'joins' : 'refuses to join'} frames`
    it(`sends every copy once and in order, wherever the kernel stops; ${title}`, () => {
      const random = new Random(randomSeed + sockets)
      const pool = new FramePool(1 << 20, 200, 64)
      const remotes: Destination[] = Array.from({ length: 90 }, () => ({ memory: new NativeMemory(16), length: 16 }))
      const present = remotes.map((_, i) => i).slice(0, random.between(1, 90))
      const table = new RemoteTable(64, 128, 300_000, randomSeed)
      for (let i = 0; i < 6; i++) table.learn(frame(BROADCAST, stationOf(i)), 0, random.pick(present), 1000)

      const sent: Sent[] = []
      const unreachable = new Set<number>()
      const { EAGAIN, EINTR } = linuxLayout.errno
      let joined = 0
      const os = {
        layout: linuxLayout,
        sendMessages: (fd: number, vector: SegmentVector, count: number) => {
          const kind = random.next()
          if (kind < 0.15) return -EAGAIN
          if (kind < 0.2) return -EINTR
          const most = kind < 0.5 ? random.between(1, count) : count
          for (let m = 0; m < most; m++) {
            const { name, frames } = messageOf(vector, m)
            if (frames.length > 1) joined++
            if (frames.length > 1 && !joins) return m > 0 ? m : -EIO
            const to = remotes.findIndex(remote => remote.memory.address === name)
            if (unreachable.has(to)) return m > 0 ? m : -EHOSTUNREACH
            for (const { address, length } of frames) {
              assert.ok(length >= 60)
              const at = address - pool.address
              sent.push({ fd, to, number: new DataView(pool.bytes.buffer, at + 14, 4).getUint32(0) })
            }
          }
          return most
        },
      } as unknown as Os
      if (present.length > 2) unreachable.add(present[1] as number)
      const fds = Array.from({ length: sockets }, (_, i) => 100 + i)
      const sender = new VxlanSender(os, pool, 42, fds, table, remotes, present)

      const count = 64
      const offsets = Int32Array.from({ length: count }, () => pool.take())
      const lengths = Int32Array.from({ length: count }, () => (random.next() < 0.8 ? 100 : random.between(60, 100)))
      const expected: { number: number; to: number | 'all' }[] = []
      for (let i = 0; i < count; i++) {
        const station = random.next() < 0.6 ? 0 : random.between(0, 9)
        const isGroup = random.next() < 0.1
        const bytes = frame(isGroup ? BROADCAST : stationOf(station), stationOf(20), lengths[i])
        putMac(bytes, 6, macOf(stationOf(random.between(20, 30))))
        new DataView(bytes.buffer, bytes.byteOffset).setUint32(14, i)
        pool.bytes.set(bytes, offsets[i])
        const remote = table.lookup(bytes, 0, 1000)
        expected.push({ number: i, to: remote === ALL ? 'all' : remote })
      }
      let done = 0
      let skipped = 0
      for (let calls = 0; done < count; calls++) {
        assert.ok(calls < 10_000, 'it comes to an end')
        const taken = sender.transmit(offsets, lengths, done, count - done, 1000)
        if (taken > 0) done += taken
        else if (taken !== -EAGAIN) {
          assert.ok(!sender.unfinished, 'a frame sent in part is not refused')
          done++
          skipped++
        }
      }
      const wanted = expected.flatMap(({ number, to }) =>
        (to === 'all' ? present : [to]).filter(each => !unreachable.has(each)).map(each => `${number}>${each}`),
      )
      assert.deepEqual(sent.map(({ number, to }) => `${number}>${to}`).sort(), wanted.sort())
      for (const remote of present) {
        const numbers = sent.filter(({ to }) => to === remote).map(({ number }) => number)
        assert.ok(
          numbers.every((number, i) => i === 0 || number > (numbers[i - 1] as number)),
          'in order',
        )
      }
      const refused = expected.filter(({ to }) => to !== 'all' && unreachable.has(to)).length
      assert.equal(skipped, refused)
      const floods = expected.filter(({ to }) => to === 'all').length
      assert.equal(sender.lostCopies, unreachable.size * floods)
      assert.ok(joined > 0, 'some were joined')
      if (sockets > 1) assert.ok(new Set(sent.map(({ fd }) => fd)).size > 1, 'flows are spread')
      const socketsOfFrame = new Map<number, Set<number>>()
      for (const { fd, number } of sent) socketsOfFrame.set(number, (socketsOfFrame.get(number) ?? new Set()).add(fd))
      assert.ok(
        [...socketsOfFrame.values()].every(({ size }) => size === 1),
        'all copies of a frame have one source port',
      )
    })
  }
})

/** The message as the kernel would read it: where it goes, and its frames, each behind the tunnel's header. */
function messageOf(vector: SegmentVector, i: number): { name: number; frames: { address: number; length: number }[] } {
  const { msghdr } = linuxLayout
  const header = viewOf(vector.address + i * vector.stride, vector.stride)
  const pointer = (view: DataView, at: number) => Number(view.getBigUint64(at, true))
  const parts = pointer(header, msghdr.iovLength)
  const iovecs = viewOf(pointer(header, msghdr.iov), parts * 16)
  const frames = Array.from({ length: parts / 2 }, (_, frame) => {
    assert.equal(pointer(iovecs, frame * 32 + 8), 8)
    return { address: pointer(iovecs, frame * 32 + 16), length: pointer(iovecs, frame * 32 + 24) }
  })
  assert.equal(pointer(header, msghdr.controlLength), frames.length > 1 ? 24 : 0)
  if (frames.length > 1) {
    const control = viewOf(pointer(header, msghdr.control), 24)
    const size = 8 + (frames[0]?.length as number)
    assert.deepEqual([pointer(control, 0), control.getInt32(8, true), control.getInt32(12, true)], [18, 17, 103])
    assert.equal(control.getUint16(16, true), size)
    assert.ok(
      frames.slice(0, -1).every(({ length }) => 8 + length === size) && 8 + (frames.at(-1)?.length as number) <= size,
    )
  }
  return { name: pointer(header, msghdr.name), frames }
}
