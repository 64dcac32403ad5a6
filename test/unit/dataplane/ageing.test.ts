import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Ageing } from '#src/dataplane/ageing.js'

describe('the sweep for expired addresses', () => {
  /** Asked every `everyMs`: the largest piece, and milliseconds until all slots were seen. */
  const sweep = (capacity: number, everyMs: number) => {
    const ageing = new Ageing(capacity, 0)
    let largest = 0
    let now = 0
    for (let seen = 0; seen < capacity; ) {
      now += everyMs
      const piece = ageing.piece(now)
      largest = Math.max(largest, piece)
      seen += piece
    }
    return { largest, now, intervalMs: ageing.intervalMs }
  }

  for (const capacity of [32, 32_768, 2 ** 21]) {
    it(`sees ${capacity} slots in about ten seconds, in bounded pieces, however often it is asked`, () => {
      const { intervalMs } = new Ageing(capacity, 0)
      for (const everyMs of [intervalMs, Math.min(intervalMs, 100), 10]) {
        const { largest, now } = sweep(capacity, everyMs)
        assert.ok(largest <= 16_384, `${largest} slots at once`)
        assert.ok(now <= 15_000, `${now} ms, asked every ${everyMs} ms`)
      }
    })
  }

  it('does not wake an idle switch with a small table more than once a second', () => {
    assert.equal(new Ageing(32_768, 0).intervalMs, 1000)
  })
})
