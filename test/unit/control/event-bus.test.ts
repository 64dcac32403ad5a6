import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EventBus, switchEventTypes } from '#src/control/event-bus.js'

describe('the event bus', () => {
  const numbersOf = (bus: EventBus, after: number, limit = 100) => {
    const { missed, events } = bus.after(after, limit)
    return [missed, events.map(({ number }) => number)]
  }
  const fill = (bus: EventBus, count: number) => {
    for (let i = 0; i < count; i++) bus.emit({ type: 'dataplane-restarted', restarts: i })
  }

  it('numbers from 1 and hands out what came after a number', () => {
    const bus = new EventBus(4)
    assert.deepEqual([bus.last, numbersOf(bus, 0)], [0, [0, []]])
    fill(bus, 3)
    assert.deepEqual(numbersOf(bus, 0), [0, [1, 2, 3]])
    assert.deepEqual(numbersOf(bus, 2), [0, [3]])
    assert.deepEqual(numbersOf(bus, 3), [0, []])
    assert.deepEqual(numbersOf(bus, 0, 2), [0, [1, 2]])
  })

  it('keeps so many, and says how many are gone', () => {
    const bus = new EventBus(4)
    fill(bus, 10)
    assert.deepEqual(numbersOf(bus, 0), [6, [7, 8, 9, 10]])
    assert.deepEqual(numbersOf(bus, 5), [1, [7, 8, 9, 10]])
    assert.deepEqual(numbersOf(bus, 6), [0, [7, 8, 9, 10]])
    assert.deepEqual(numbersOf(bus, 0, 0), [6, []])
  })

  it('calls who subscribed after each event, until they have had enough', () => {
    const bus = new EventBus(4)
    let calls = 0
    const end = bus.subscribe(() => calls++)
    fill(bus, 2)
    end()
    fill(bus, 2)
    assert.equal(calls, 2)
  })

  it('lists each type once', () => {
    assert.equal(new Set(switchEventTypes).size, switchEventTypes.length)
  })
})
