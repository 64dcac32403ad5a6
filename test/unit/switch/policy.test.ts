import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PolicyTable, type PortPolicy } from '#src/switch/policy.js'

const plain: PortPolicy = { maxFrameSize: 0, maxEntries: 0, isolated: false }

describe('the policy table', () => {
  it('shares one flood list among the ports of a class', () => {
    const table = new PolicyTable(16, 1518, 10)
    for (let port = 0; port < 4; port++) table.set(port, { ...plain, isolated: port > 1 })
    const list = (port: number) => table.floodTargets[table.portClass[port]]
    assert.equal(list(0), list(1))
    assert.equal(list(2), list(3))
    assert.notEqual(list(0), list(2))
  })

  it('keeps the lists when a change does not touch them', () => {
    const table = new PolicyTable(16, 1518, 10)
    table.set(0, plain)
    const before = table.floodTargets
    table.set(0, { ...plain, maxFrameSize: 100 })
    assert.equal(table.floodTargets, before)
    assert.equal(table.maxFrameSize[0], 100)
  })

  it('is not changed by its caller afterwards', () => {
    const table = new PolicyTable(16, 1518, 10)
    const policy = { ...plain, maxEntries: 3 }
    table.set(0, policy)
    policy.maxEntries = 7
    table.setLimits(1518, 20)
    assert.equal(table.maxEntries[0], 3)
  })

  it('answers with nothing for a port that is not there', () => {
    const table = new PolicyTable(16, 1518, 10)
    table.set(5, plain)
    table.set(5, undefined)
    assert.deepEqual([table.maxFrameSize[5], table.maxEntries[5], table.portClass[5]], [0, 0, 0])
    assert.equal(table.floodTargets[table.portClass[5]].length, 0)
    assert.equal(table.has(5), false)
  })
})
