import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { type Descriptor, DescriptorTable } from '#src/dataplane/descriptor-table.js'
import { READABLE, WRITABLE } from '#src/os/poller.js'
import { FakeEndpoint, FakePoller } from '../../support/fake-dataplane.js'

describe('DescriptorTable', () => {
  let poller: FakePoller
  let table: DescriptorTable
  const endpoint = new FakeEndpoint()
  const of = (fd: number) => table.byToken(poller.tokenOf.get(fd) ?? -1)

  beforeEach(() => {
    poller = new FakePoller()
    table = new DescriptorTable(poller)
  })

  it('watches for reading, and finds a descriptor by its token', () => {
    table.watch(10, endpoint)
    table.watch(11, endpoint)
    assert.deepEqual(
      [...poller.interest],
      [
        [10, READABLE],
        [11, READABLE],
      ],
    )
    assert.deepEqual([of(10)?.fd, of(11)?.fd], [10, 11])
    assert.equal(of(10)?.endpoint, endpoint)
  })

  it('tells the poller only when the sum of the reasons changes', () => {
    table.watch(10, endpoint)
    table.watch(10, endpoint)
    table.awaitWritable(10, endpoint, 1)
    table.awaitWritable(10, endpoint, 2)
    assert.deepEqual([poller.changes, poller.interest.get(10)], [2, READABLE | WRITABLE])
    table.writableSettled(10, 1)
    assert.deepEqual([poller.changes, poller.interest.get(10)], [2, READABLE | WRITABLE])
    assert.deepEqual(of(10)?.waiting, [2])
    table.writableSettled(10, 2)
    assert.deepEqual([poller.changes, poller.interest.get(10)], [3, READABLE])
  })

  it('does not read while paused, and still sends', () => {
    table.watch(10, endpoint)
    const descriptor = of(10) as Descriptor
    table.pause(descriptor)
    assert.equal(poller.interest.has(10), false)
    table.awaitWritable(10, endpoint, 1)
    assert.equal(poller.interest.get(10), WRITABLE)
    table.unpause(descriptor)
    assert.equal(poller.interest.get(10), READABLE | WRITABLE)
  })

  it('lets go of a descriptor without a reason; an old report finds nothing, whatever took its place', () => {
    table.watch(10, endpoint)
    const token = poller.tokenOf.get(10) as number
    table.unwatch(10)
    assert.deepEqual([poller.interest.size, table.byToken(token)], [0, null])
    // In the same turn: another descriptor of the same number, which is being connected.
    table.awaitConnected(10, endpoint)
    assert.equal(table.byToken(token), null)
    assert.equal(of(10)?.connecting, true)
  })

  it('lets go of all that a failed endpoint watched, and of nothing that others wait for', () => {
    const other = new FakeEndpoint()
    table.watch(10, endpoint)
    table.awaitConnected(11, endpoint)
    table.watch(12, other)
    table.awaitWritable(10, other, 3)
    table.drop(endpoint)
    assert.deepEqual([...poller.interest].sort(), [
      [10, WRITABLE],
      [12, READABLE],
    ])
  })

  it('gives a descriptor that was closed without a word to the endpoint that has its number now', () => {
    const other = new FakeEndpoint()
    table.watch(10, endpoint)
    table.watch(10, other)
    assert.equal(of(10)?.endpoint, other)
  })

  it('keeps one that is read no longer as long as a port waits to send', () => {
    table.watch(10, endpoint)
    table.awaitWritable(10, endpoint, 1)
    table.unwatch(10)
    assert.equal(poller.interest.get(10), WRITABLE)
    table.writableSettled(10, 1)
    assert.deepEqual([poller.interest.size, of(10)], [0, null])
  })

  it('takes in its stride what it does not know', () => {
    table.unwatch(99)
    table.writableSettled(99, 1)
    assert.equal(table.byToken(4), null)
    assert.equal(poller.changes, 0)
  })

  it('ends a pause of a descriptor that was let go meanwhile without touching its successor', () => {
    table.watch(10, endpoint)
    const old = of(10) as Descriptor
    table.pause(old)
    table.unwatch(10)
    table.watch(10, endpoint)
    const next = of(10) as Descriptor
    assert.equal(poller.interest.get(10), READABLE)
    table.unpause(old)
    assert.equal(of(10), next)
    assert.equal(poller.interest.get(10), READABLE)
    table.watch(11, endpoint)
    table.watch(12, endpoint)
    assert.equal(new Set([10, 11, 12].map(fd => poller.tokenOf.get(fd))).size, 3)
  })
})
