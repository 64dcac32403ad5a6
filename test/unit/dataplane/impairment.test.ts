import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FramePool } from '#src/dataplane/frame-pool.js'
import { Impairment, type ImpairmentSettings } from '#src/dataplane/impairment.js'

const off: ImpairmentSettings = {
  seed: 7,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  reorderMs: 5,
  delayMs: 0,
  jitterMs: 0,
  bitsPerSecond: 0,
  holdFrames: 4096,
}

/** A line and its pool; frames are told apart by their length. */
class Line {
  readonly pool = new FramePool(0, 4096, 8192)
  readonly impairment: Impairment
  lost = 0
  refused = 0

  constructor(settings: Partial<ImpairmentSettings>, name = 'vms:1') {
    this.impairment = new Impairment({ ...off, ...settings }, name, this.pool)
  }

  /** Frames `first` to `first + count - 1`, at once. */
  take(first: number, count: number, now: number): void {
    const offsets = Int32Array.from({ length: count }, () => this.pool.take())
    const lengths = Int32Array.from({ length: count }, (_, i) => first + i)
    this.impairment.take(offsets, lengths, 0, count, now)
    this.lost += this.impairment.lost
    this.refused += this.impairment.refused
    for (const offset of offsets) this.pool.release(offset)
  }

  release(now: number): number[] {
    const released: number[] = []
    for (let count = this.impairment.release(now); count > 0; count = this.impairment.release(now)) {
      released.push(...this.impairment.lengths.subarray(0, count))
      for (const offset of this.impairment.offsets.subarray(0, count)) this.pool.release(offset)
    }
    return released
  }
}

const range = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)

describe('Impairment', () => {
  it('with all of it off, lets every frame through at once and in order', () => {
    const line = new Line({})
    line.take(100, 500, 10)
    assert.equal(line.impairment.nextDueAt, 10)
    assert.deepEqual(line.release(10), range(100, 500))
    assert.deepEqual([line.impairment.held, line.pool.free, line.lost], [0, 8192, 0])
  })

  it('loses the share it is told to, the same frames for the same seed, others for another or for another port', () => {
    const pattern = (settings: Partial<ImpairmentSettings>, name?: string) => {
      const line = new Line({ loss: 20, ...settings }, name)
      line.take(0, 2000, 0)
      const through = line.release(0)
      assert.equal(through.length + line.lost, 2000)
      return through
    }
    const first = pattern({})
    assert.ok(first.length > 1500 && first.length < 1700, `${first.length} of 2000`)
    assert.deepEqual(pattern({}), first)
    assert.notDeepEqual(pattern({ seed: 8 }), first)
    assert.notDeepEqual(pattern({}, 'vms:2'), first)
    assert.equal(pattern({ loss: 100 }).length, 0)
  })

  it('loses the same frames whatever else is set', () => {
    const through = (settings: Partial<ImpairmentSettings>) => {
      const line = new Line({ loss: 30, ...settings })
      line.take(0, 1000, 0)
      return [...new Set(line.release(1e6))].toSorted((a, b) => a - b)
    }
    const plain = through({})
    assert.deepEqual(through({ delayMs: 50, jitterMs: 20 }), plain)
    assert.deepEqual(through({ duplicate: 50, reorder: 10, bitsPerSecond: 1e6 }), plain)
  })

  it('delays every frame by the same time, and keeps the order when the delay varies', () => {
    const line = new Line({ delayMs: 100 })
    line.take(0, 3, 0)
    line.take(3, 3, 1.5)
    assert.deepEqual(line.release(99.9), [])
    assert.equal(line.impairment.nextDueAt, 100)
    assert.deepEqual(line.release(100), [0, 1, 2])
    assert.deepEqual(line.release(101.5), [3, 4, 5])

    const varying = new Line({ delayMs: 100, jitterMs: 40 })
    for (let now = 0; now < 1000; now++) varying.take(now, 1, now)
    const times = new Map<number, number>()
    const released: number[] = []
    for (let now = 0; now < 1200; now++) {
      for (const frame of varying.release(now)) {
        times.set(frame, now - frame)
        released.push(frame)
      }
    }
    assert.deepEqual(released, range(0, 1000))
    const delays = [...times.values()]
    assert.ok(
      Math.min(...delays) >= 60 && Math.max(...delays) <= 141,
      `${Math.min(...delays)} to ${Math.max(...delays)}`,
    )
    assert.ok(new Set(delays).size > 5, 'the delay varies')
  })

  it('doubles frames, the second right behind the first', () => {
    const line = new Line({ duplicate: 25 })
    line.take(0, 1000, 0)
    const released = line.release(0)
    assert.ok(released.length > 1180 && released.length < 1320, `${released.length}`)
    assert.deepEqual([...new Set(released)], range(0, 1000))
    assert.deepEqual(
      released,
      released.toSorted((a, b) => a - b),
    )
    assert.equal(line.pool.free, 8192)
  })

  it('lets later frames overtake those that it reorders', () => {
    const line = new Line({ reorder: 10, reorderMs: 5 })
    for (let now = 0; now < 1000; now++) line.take(now, 1, now)
    const released: number[] = []
    for (let now = 0; now < 1010; now++) released.push(...line.release(now))
    assert.notDeepEqual(released, range(0, 1000))
    assert.deepEqual(
      released.toSorted((a, b) => a - b),
      range(0, 1000),
    )
    const displaced = released.filter((frame, i) => i > 0 && frame < (released[i - 1] as number)).length
    assert.ok(displaced > 50 && displaced < 150, `${displaced} overtaken`)
  })

  it('lets through what the bandwidth allows, one frame behind the other, and refuses what it cannot hold', () => {
    // 1000 bytes take 1 ms at 8 Mbit/s.
    const line = new Line({ bitsPerSecond: 8_000_000, holdFrames: 10 })
    const offset = line.pool.take()
    const thousand = new Int32Array(12).fill(1000)
    line.impairment.take(new Int32Array(12).fill(offset), thousand, 0, 12, 0)
    assert.equal(line.impairment.refused, 2)
    for (let now = 0.5; now < 10; now++) assert.equal(line.impairment.release(now), now < 1 ? 0 : 1)
    assert.equal(line.impairment.release(10), 1)
    // After a pause the line is free at once: what was refused did not use it, and nothing is saved up.
    line.impairment.take(new Int32Array(2).fill(offset), thousand, 0, 2, 50)
    assert.deepEqual(
      [line.impairment.release(50.9), line.impairment.release(51), line.impairment.release(52)],
      [0, 1, 1],
    )
  })

  it('gives back every slot when it is discarded', () => {
    const line = new Line({ delayMs: 10, duplicate: 50 })
    line.take(0, 100, 0)
    assert.ok(line.impairment.discard() >= 100)
    assert.deepEqual([line.impairment.held, line.pool.free], [0, 8192])
  })
})
