import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { switchEventTypes } from '#src/control/event-bus.js'
import { eventTypes, type Port } from '#src/page/api.js'
import { age, duration, short } from '#src/page/format.js'
import { HEIGHT, heat, MOST_SHOWN, placesOf, WIDTH } from '#src/page/layout.js'
import { HISTORY, History, noRates } from '#src/page/rates.js'
import { matching } from '#src/page/tables.js'

function port(id: number, frames: number, drops = 0): Port {
  return {
    id,
    name: `vms:${id}`,
    transport: 'vms',
    kind: 'unixgram',
    peer: null,
    up: true,
    counters: {
      receiveFrames: frames,
      receiveBytes: frames * 100,
      receiveDrops: { runt: drops },
      transmitFrames: 0,
      transmitBytes: 0,
      transmitDrops: {},
      queueFrames: 0,
      fdbEntries: 0,
    },
  }
}

describe('the history of the page', () => {
  it('has no rates before the second look', () => {
    const history = new History()
    history.add([port(1, 100)], 10)
    assert.deepEqual(history.now(1), noRates)
  })

  it('has rates for each second, and none for a port that is new', () => {
    const history = new History()
    history.add([port(1, 100)], 10)
    history.add([port(1, 300, 4), port(2, 5000)], 12)
    assert.deepEqual(history.now(1), { ...noRates, inFrames: 100, inBits: 80_000, drops: 2 })
    assert.deepEqual(history.now(2), noRates)
    assert.equal(history.total().inFrames, 100)
    assert.equal(history.recentDrops(1, 5), 2)
  })

  it('keeps five minutes', () => {
    const history = new History()
    for (let second = 0; second < HISTORY + 50; second++) history.add([port(1, second)], second)
    const { times, values } = history.series(1, 'inFrames')
    assert.deepEqual([times.length, times[0], values.length], [HISTORY, 50, HISTORY])
  })

  it('does not count backwards when the switch was started anew', () => {
    const history = new History()
    history.add([port(1, 100)], 10)
    history.add([port(1, 5)], 11)
    assert.equal(history.now(1).inFrames, 0)
  })
})

describe('the places in the picture', () => {
  const items = Array.from({ length: 60 }, (_, id) => ({ id, kind: id % 2 === 0 ? 'udp' : 'tap' }))

  it('are within it, and each is another', () => {
    const places = placesOf(items)
    assert.equal(places.length, MOST_SHOWN)
    assert.ok(places.every(({ x, y }) => x > 0 && x < WIDTH && y > 0 && y < HEIGHT))
    assert.equal(new Set(places.map(({ x, y }) => `${x} ${y}`)).size, MOST_SHOWN)
  })

  it('have those of a kind beside each other', () => {
    const kinds = placesOf(items.slice(0, 10)).map(({ item }) => item.kind)
    assert.deepEqual(kinds, [...kinds].sort())
  })

  it('are joined by lines as warm as their load', () => {
    assert.deepEqual([heat(0), heat(1e10), heat(1e12)], [0, 1, 1])
    assert.ok(heat(1e6) < heat(1e8))
  })
})

describe('the search for addresses', () => {
  const entries = [
    { mac: '02:00:00:00:00:0a', port: 'vms:1', static: false, ageSeconds: 3 },
    { mac: '02:00:00:00:00:0b', port: 'uplink', static: true, ageSeconds: null },
  ]

  it('finds parts of addresses, however they are written, and of ports', () => {
    assert.deepEqual(
      matching(entries, '00-0A').map(({ port: at }) => at),
      ['vms:1'],
    )
    assert.deepEqual(
      matching(entries, 'UP').map(({ port: at }) => at),
      ['uplink'],
    )
    assert.equal(matching(entries, '').length, 2)
  })
})

describe('numbers on the page', () => {
  it('are short', () => {
    assert.deepEqual([0, 999, 1234, 5.6e9].map(short), ['0', '999', '1.23k', '5.60G'])
    assert.deepEqual([age(null), age(5), age(600)], ['static', '5 s ago', '10 min ago'])
    assert.deepEqual([5, 600, 90_000, 1e6].map(duration), ['5 s', '10 min', '25 h', '12 d'])
  })
})

it('the page follows every type of event the switch sends', () => {
  assert.deepEqual(eventTypes.toSorted(), switchEventTypes.toSorted())
})
