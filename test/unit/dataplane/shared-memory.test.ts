import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  batchBuckets,
  ENDPOINT_PORTS_MADE,
  endpointDropReasons,
  PortField,
  SharedCounters,
  SwitchField,
} from '#src/dataplane/shared-memory.js'
import { floodCauses, receiveDropReasons, transmitDropReasons } from '#src/switch/drop-reason.js'

const shape = { maxPorts: 3, maxEndpoints: 2 }

/** A counter for every cell that something is written to, by name. */
function cellsInUse(counters: SharedCounters): Map<number, string> {
  const used = new Map<number, string>()
  const use = (cell: number, name: string) => {
    assert.equal(used.get(cell), undefined, `${name} shares a cell`)
    assert.ok(cell < counters.cells.length, `${name} is beyond the end`)
    used.set(cell, name)
  }
  const lists = (field: string) =>
    ({ receiveDrop: receiveDropReasons, transmitDrop: transmitDropReasons, flood: floodCauses })[field]
  const useAll = (fields: object, row: number, name: string) => {
    for (const [field, at] of Object.entries(fields)) {
      const list = lists(field)?.length ?? (field === 'batchBucket' ? batchBuckets.length + 1 : 1)
      for (let i = 0; i < list; i++) use(row + at + i, `${name}.${field}[${i}]`)
    }
  }
  useAll(SwitchField, 0, 'switch')
  for (let e = 0; e < shape.maxEndpoints; e++) {
    for (const [i, reason] of endpointDropReasons.entries()) use(counters.endpointRow(e) + i, `endpoint ${e} ${reason}`)
    use(counters.endpointRow(e) + ENDPOINT_PORTS_MADE, `endpoint ${e} ports made`)
  }
  for (let p = 0; p < shape.maxPorts; p++) useAll(PortField, counters.portRow(p), `port ${p}`)
  return used
}

describe('SharedCounters', () => {
  it('gives every counter a cell of its own, within the buffer', () => {
    const counters = new SharedCounters(shape)
    assert.equal(cellsInUse(counters).size > 60, true)
    assert.equal(counters.buffer.byteLength, counters.cells.length * 8)
  })

  it('reads back by name what was written by index', () => {
    const counters = new SharedCounters(shape)
    const { cells } = counters
    const row = counters.portRow(2)
    cells[row + PortField.receiveFrames] = 2 ** 53 - 1
    cells[row + PortField.receiveDrop + receiveDropReasons.indexOf('same-port')] = 5
    cells[row + PortField.transmitDrop + transmitDropReasons.indexOf('peer-gone')] = 6
    cells[row + PortField.up] = 1
    cells[counters.endpointRow(1) + endpointDropReasons.indexOf('handshake')] = 7
    cells[SwitchField.flood + floodCauses.indexOf('unknown-unicast')] = 8
    cells[SwitchField.batchBucket + batchBuckets.length] = 9
    const port = counters.readPort(2)
    assert.deepEqual(
      [port.receiveFrames, port.receiveDrops['same-port'], port.transmitDrops['peer-gone'], port.up],
      [2 ** 53 - 1, 5, 6, true],
    )
    assert.equal(counters.readEndpoint(1).handshake, 7)
    assert.equal(counters.readSwitch().floods['unknown-unicast'], 8)
    assert.deepEqual(counters.readSwitch().batch.buckets, [0, 0, 0, 0, 0, 0, 0, 9])
    assert.equal(counters.readPort(1).receiveFrames, 0)
  })

  it('is one memory for whoever attaches to its buffer', () => {
    const counters = new SharedCounters(shape)
    const other = new SharedCounters(shape, counters.buffer)
    other.cells[other.portRow(0) + PortField.transmitFrames] = 3
    assert.equal(counters.readPort(0).transmitFrames, 3)
  })

  it('forgets one row and nothing else', () => {
    const counters = new SharedCounters(shape)
    counters.cells.fill(1)
    counters.clearPort(1)
    counters.clearEndpoint(0)
    assert.equal(counters.readPort(1).receiveFrames + counters.readPort(1).transmitDrops.error, 0)
    assert.deepEqual([counters.readPort(0).pauses, counters.readPort(2).receiveFrames], [1, 1])
    assert.deepEqual([counters.readEndpoint(0).stranger, counters.readEndpoint(1).unbound], [0, 1])
    const zeroes = counters.cells.filter(cell => cell === 0).length
    assert.equal(zeroes, counters.portRow(1) - counters.portRow(0) + counters.endpointRow(1) - counters.endpointRow(0))
  })
})
