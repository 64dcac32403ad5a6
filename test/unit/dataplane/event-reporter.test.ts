import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { EventReporter } from '#src/dataplane/event-reporter.js'
import { SharedCounters } from '#src/dataplane/shared-memory.js'

describe('EventReporter', () => {
  let counters: SharedCounters
  let reporter: EventReporter
  const admitted = (attempts: number) => {
    let count = 0
    for (let i = 0; i < attempts; i++) if (reporter.admit('mac-learned')) count++
    return count
  }

  beforeEach(() => {
    counters = new SharedCounters({ maxPorts: 1, maxEndpoints: 1 })
    reporter = new EventReporter(counters.cells)
    reporter.refill(5000)
  })

  it('lets a burst through and counts what it holds back', () => {
    assert.equal(admitted(1000), 256)
    assert.equal(counters.readSwitch().eventsSuppressed, 744)
  })

  it('keeps a bucket for each kind', () => {
    admitted(1000)
    assert.equal(reporter.admit('mac-moved'), true)
    assert.equal(reporter.admit('limit-reached'), true)
  })

  it('earns 64 a second, and no more than a burst', () => {
    admitted(1000)
    reporter.refill(5500)
    assert.equal(admitted(1000), 32)
    reporter.refill(3_600_000)
    assert.equal(admitted(1000), 256)
  })
})
