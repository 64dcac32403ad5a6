import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { FindingReporter } from '#src/dataplane/finding-reporter.js'
import type { FindingEvent, RaisedFinding } from '#src/dataplane/messages.js'

describe('FindingReporter', () => {
  let now: number
  let told: FindingEvent[]
  let suppressed: number
  let reporter: FindingReporter
  /** By index: the endpoint and the id of a port. */
  let ports: Map<number, { endpoint: string; id: number }>

  const make = (raised: readonly RaisedFinding[] = []) =>
    new FindingReporter(
      {
        emit: event => void told.push(event),
        clock: () => now,
        ownerOf: port => ports.get(port),
        countSuppressed: () => void suppressed++,
      },
      raised,
    )
  const brief = () => told.map(({ subject, raised, count }) => [subject, raised, count])

  beforeEach(() => {
    now = 1000
    told = []
    suppressed = 0
    ports = new Map([[3, { endpoint: 'vms', id: 30 }]])
    reporter = make()
  })

  it('tells the first at once and makes no message for the others, which it tells as a number once a second', () => {
    let made = 0
    const raise = () => reporter.raise('vms', 'port-limit', () => `message ${++made}`, { maxPorts: 4 })
    for (let i = 0; i < 1000; i++) raise()
    assert.equal(made, 1)
    assert.deepEqual(told, [
      {
        type: 'finding',
        subject: 'vms',
        id: null,
        owner: 'vms',
        code: 'port-limit',
        raised: true,
        message: 'message 1',
        detail: { maxPorts: 4 },
        count: 1,
      },
    ])
    for (now = 1100; now < 2000; now += 100) reporter.flush(now)
    assert.equal(told.length, 1)
    reporter.flush(2000)
    assert.deepEqual(brief(), [
      ['vms', true, 1],
      ['vms', true, 999],
    ])
    reporter.flush(9000)
    assert.equal(told.length, 2, 'nothing new, nothing told')
  })

  it('says which port it is about, also when the place is used again', () => {
    reporter.raise(3, 'fdb-port-full', 'full')
    assert.deepEqual([told[0]?.id, told[0]?.owner], [30, 'vms'])
    reporter.forget(3)
    ports.set(3, { endpoint: 'vms', id: 31 })
    reporter.raise(3, 'fdb-port-full', 'full')
    assert.equal(told[1]?.id, 31)
  })

  it('says nothing of a port that is not there', () => {
    reporter.raise(9, 'fdb-port-full', 'full')
    assert.deepEqual(told, [])
  })

  it('sends few messages when a condition comes and goes as fast as a guest likes, and ends with the truth', () => {
    for (let i = 0; i < 100_000; i++) {
      reporter.raise('vms', 'port-limit', 'full')
      reporter.clear('vms', 'port-limit')
    }
    assert.ok(told.length <= 32, `${told.length} messages`)
    for (; now < 60_000; now += 100) reporter.flush(now)
    assert.equal(told.at(-1)?.raised, false)
    reporter.raise('vms', 'port-limit', 'full')
    assert.equal(told.at(-1)?.raised, true)
  })

  it('keeps at most 32 findings of an endpoint, counts what it leaves out, and has place for another endpoint', () => {
    for (let index = 0; index < 100; index++) {
      ports.set(index, { endpoint: 'vms', id: index })
      reporter.raise(index, 'fdb-port-full', 'full')
    }
    assert.equal(told.length, 32)
    assert.equal(suppressed, 68)
    reporter.raise('db', 'port-limit', 'full')
    assert.equal(told.at(-1)?.subject, 'db')
    for (let index = 0; index < 32; index++) reporter.forget(index)
    now += 10_000
    reporter.flush(now)
    reporter.raise(50, 'fdb-port-full', 'full')
    assert.equal(told.at(-1)?.subject, 50)
  })

  it('knows what an earlier data plane raised, and ends it', () => {
    reporter = make([{ subject: 'vms', owner: 'vms', code: 'port-limit' }])
    reporter.clear('vms', 'port-limit')
    reporter.clear('vms', 'port-limit')
    assert.deepEqual(brief(), [['vms', false, 0]])
  })

  it('lets go of what the main thread ends by itself, so that it can be told anew', () => {
    reporter.raise(3, 'fdb-port-full', 'full')
    now += 60_000
    reporter.flush(now)
    reporter.raise(3, 'fdb-port-full', 'full again')
    assert.deepEqual(
      told.map(({ message }) => message),
      ['full', 'full again'],
    )
  })
})
