import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ratesBetween, screenText } from '#src/cli/client/top.js'
import type { PortView } from '#src/control/view.js'
import { SharedCounters } from '#src/dataplane/shared-memory.js'
import { fakePort } from '../../http/fake-view.js'

const empty = new SharedCounters({ maxPorts: 1, maxEndpoints: 1 }).readPort(0)

function port(id: number, received: number, dropped = 0): PortView {
  const counters = { ...empty, up: true, receiveFrames: received, receiveBytes: received * 100 }
  counters.receiveDrops = { ...counters.receiveDrops, runt: dropped }
  return { ...fakePort(id, null), up: true, counters }
}

describe('rates between two looks', () => {
  const rates = ratesBetween([port(1, 100), port(2, 10)], [port(1, 300, 4), port(2, 10), port(3, 5000)], 2)

  it('are for each second', () => {
    assert.deepEqual(
      rates.map(({ receiveFrames, receiveBits, drops }) => [receiveFrames, receiveBits, drops]),
      [
        [100, 80_000, 2],
        [0, 0, 0],
        [0, 0, 0],
      ],
    )
  })

  it('are nothing for a port that was not there before', () => assert.equal(rates[2].receiveFrames, 0))

  it('are shown busiest first, and no wider or higher than the terminal', () => {
    const lines = screenText(rates, 'receiveFrames', { rows: 5, columns: 30 }).split('\n')
    assert.equal(lines.length, 4)
    assert.ok(lines.every(line => line.length <= 30))
    assert.match(lines[3], new RegExp(`^${rates[0].port.name} `))
  })
})
