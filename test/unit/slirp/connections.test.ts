import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Connections } from '#src/slirp/connections.js'

const ALICE = 1
const BOB = 2

/** Opens sockets for a guest until it may not, or has as many. Returns how many it got. */
function openAll(connections: Connections, guest: number, firstFd: number, wanted = 10_000): number {
  let opened = 0
  for (; opened < wanted && connections.mayOpen(guest, 0); opened++) open(connections, guest, firstFd + opened)
  return opened
}

function open(connections: Connections, guest: number, fd: number, flow = 0): void {
  connections.begin(guest, flow)
  connections.opened(fd)
  connections.end()
}

describe('the connections of guests', () => {
  it('leave a fifth of the limit to guests that have none yet', () => {
    const connections = new Connections(1000)
    assert.equal(openAll(connections, ALICE, 0), 800)
    assert.equal(connections.heldBy(ALICE), 800)
    assert.ok(connections.mayOpen(BOB, 0))
    assert.equal(openAll(connections, BOB, 2000), 160)
    assert.ok(!connections.mayOpen(ALICE, 0), 'which one with more than its share does not get')
  })

  it('go to guests that want the same in equal numbers', () => {
    const connections = new Connections(1000)
    for (let i = 0; i < 1000; i++) {
      for (const guest of [ALICE, BOB]) if (connections.mayOpen(guest, 0)) open(connections, guest, i * 2 + guest)
    }
    assert.ok(Math.abs(connections.heldBy(ALICE) - connections.heldBy(BOB)) <= 1)
    assert.ok(connections.held >= 888, `${connections.held}`)
  })

  it('come back as those of the greedy end', () => {
    const connections = new Connections(100)
    openAll(connections, ALICE, 0)
    for (let fd = 0; fd < 40; fd++) connections.closed(fd)
    assert.equal(connections.heldBy(ALICE), 40)
    assert.ok(openAll(connections, BOB, 1000) >= 40)
  })

  it('of a flow that has its socket are not new ones', () => {
    const connections = new Connections(16)
    open(connections, ALICE, 5000, 77)
    openAll(connections, ALICE, 0)
    assert.ok(connections.mayOpen(ALICE, 77))
    assert.ok(!connections.mayOpen(ALICE, 78))
    connections.closed(5000)
    openAll(connections, ALICE, 100)
    assert.ok(!connections.mayOpen(ALICE, 77))
  })

  it('are not what comes in through forwards, which has its own limit and waits at it', () => {
    const seen: number[][] = []
    const connections = new Connections(16, (held, forwarded) => seen.push([held, forwarded]))
    connections.listening('tcp', () => connections.opened(3))
    connections.listening('udp', () => connections.opened(4))
    for (let fd = 10; fd < 26; fd++) {
      assert.ok(!connections.isPaused(3))
      connections.opened(fd)
    }
    assert.deepEqual(seen.at(-1), [0, 16])
    assert.ok(connections.isPaused(3))
    assert.ok(!connections.isPaused(4), 'a UDP forward has one socket for all')
    assert.ok(!connections.isPaused(12))
    assert.ok(connections.mayOpen(ALICE, 0))
    connections.closed(10)
    assert.ok(!connections.isPaused(3))
  })

  it('are counted again under the same descriptor, whoever had it', () => {
    const connections = new Connections(16)
    open(connections, ALICE, 5)
    open(connections, BOB, 5)
    assert.deepEqual([connections.held, connections.heldBy(ALICE), connections.heldBy(BOB)], [1, 0, 1])
  })
})
