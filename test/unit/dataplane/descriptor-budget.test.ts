import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DescriptorShare, keptDescriptors, peerDescriptors } from '#src/dataplane/descriptor-budget.js'
import { SharedCounters, SwitchField } from '#src/dataplane/shared-memory.js'

const ENDPOINTS = 5

describe('the budget of descriptors', () => {
  const make = (limit: number) => {
    const counters = new SharedCounters({ maxPorts: 1, maxEndpoints: ENDPOINTS })
    counters.cells[SwitchField.peerDescriptors] = limit
    return counters
  }
  const takeAll = (share: DescriptorShare, count = 1) => {
    let taken = 0
    while (taken < 10_000 && share.take(count)) taken += count
    return taken
  }

  it('keeps half of a small limit for the switch, and no more than 512 of a large one', () => {
    assert.deepEqual([256, 1024, 524_288].map(keptDescriptors), [128, 512, 512])
    assert.deepEqual([256, 1024, 524_288].map(peerDescriptors), [128, 512, 523_776])
    assert.ok(peerDescriptors(Number.POSITIVE_INFINITY) > 1e9)
  })

  it('gives three quarters to a transport that takes all it can, and always leaves some for the next', () => {
    const counters = make(128)
    const shares = Array.from({ length: ENDPOINTS }, (_, index) => new DescriptorShare(counters, index, 'data'))
    assert.deepEqual(
      shares.map(share => takeAll(share)),
      [96, 24, 6, 1, 0],
    )
    assert.equal(counters.peerDescriptorsHeld(), 127)
  })

  it('counts what both threads hold for a transport, and takes several or none', () => {
    const counters = make(128)
    const data = new DescriptorShare(counters, 0, 'data')
    const control = new DescriptorShare(counters, 0, 'control')
    data.hold(90)
    assert.equal(takeAll(control, 3), 6)
    assert.equal(data.take(), false)
    control.give(6)
    assert.equal(takeAll(data), 6)
    assert.equal(counters.endpointDescriptors(0), 96)
  })

  it('holds nothing for an endpoint that is made anew', () => {
    const counters = make(128)
    new DescriptorShare(counters, 0, 'data').hold(90)
    new DescriptorShare(counters, 0, 'data')
    assert.equal(counters.endpointDescriptors(0), 0)
  })

  it('refuses nothing where no limit is known', () => {
    assert.equal(takeAll(new DescriptorShare(make(0), 0, 'data')), 10_000)
  })
})
