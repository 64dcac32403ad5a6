import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FlapDetector } from '#src/switch/flap-detector.js'

/** How often the detector spoke while `moves` moves, `everyMs` apart, were noted. */
function reports(flaps: FlapDetector, moves: number, everyMs: number, first = 0, keyLow = 7): number {
  let count = 0
  for (let i = 0; i < moves; i++) if (flaps.moved(0x0200, keyLow, first + i * everyMs)) count++
  return count
}

describe('the flap detector', () => {
  it('speaks at the move that is too many, not before and not again', () => {
    const flaps = new FlapDetector(3, 1000)
    assert.deepEqual(
      [0, 1, 2, 3, 4, 5].map(time => flaps.moved(0x0200, 7, time)),
      [false, false, false, true, false, false],
    )
  })

  it('tells further moves of what it has reported from those before', () => {
    const flaps = new FlapDetector(3, 1000)
    const goesOn = [0, 1, 2, 3, 4, 5, 1001, 1002].map(time => {
      flaps.moved(0x0200, 7, time)
      return flaps.goesOn
    })
    assert.deepEqual(goesOn, [false, false, false, false, true, true, false, false])
    flaps.moved(0x0200, 8, 1003)
    assert.equal(flaps.goesOn, false)
  })

  it('speaks once in each window', () => {
    assert.equal(reports(new FlapDetector(3, 1000), 100, 100), 9)
  })

  it('is silent about moves far apart', () => {
    assert.equal(reports(new FlapDetector(3, 1000), 100, 400), 0)
  })

  it('counts each address for itself, also when two share a row', () => {
    const flaps = new FlapDetector(3, 1000)
    for (let keyLow = 0; keyLow < 5000; keyLow++) assert.equal(reports(flaps, 1, 0, 0, keyLow), 0)
  })

  it('reports an address again whose row belonged to another until then', () => {
    const flaps = new FlapDetector(3, 1000)
    for (let keyLow = 1; keyLow < 5000; keyLow++) flaps.moved(0x0200, keyLow, 0)
    assert.equal(reports(flaps, 10, 10, 1001, 4999), 1)
  })

  it('goes on when the clock passes 2^31 and 2^32 milliseconds', () => {
    for (const edge of [2 ** 31, 2 ** 32]) {
      assert.equal(reports(new FlapDetector(3, 1000), 10, 100, edge - 300), 1)
    }
  })
})
