import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Backoff } from '#src/transports/stream/backoff.js'

describe('Backoff', () => {
  it('doubles what it may wait, from 0.1 s to 30 s, for ever', () => {
    const backoff = new Backoff(() => 1)
    const waits = Array.from({ length: 12 }, () => backoff.next())
    assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000])
    for (let i = 0; i < 5000; i++) assert.equal(backoff.next(), 30_000)
  })

  it('waits any part of that', () => {
    const parts = [0, 0.5, 0.25]
    const backoff = new Backoff(() => parts.shift() as number)
    assert.deepEqual([backoff.next(), backoff.next(), backoff.next()], [0, 100, 100])
  })

  it('starts anew after a success', () => {
    const backoff = new Backoff(() => 1)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert.equal(backoff.next(), 100)
  })
})
