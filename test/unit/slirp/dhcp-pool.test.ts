import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DhcpPool, LEASES_PER_SOURCE } from '#src/slirp/dhcp-pool.js'
import { PASS, Refuse } from '#src/slirp/refusals.js'
import { bytes4, dhcp } from '../../support/packets.js'

const START = 0x0a00020f
const DISCOVER = 1
const REQUEST = 3
const RELEASE = 7
const station = (n: number) => `02:00:00:00:00:${(16 + n).toString(16)}`
const requested = (address: string): [number, Uint8Array] => [50, bytes4(address)]

function ask(pool: DhcpPool, n: number, type = DISCOVER, options: [number, Uint8Array][] = [], source = n): number {
  const message = dhcp(type, station(n), options)
  return pool.request(message, 0, message.length, source)
}

describe('the addresses of the DHCP server', () => {
  it('are sixteen, and those who have one keep it', () => {
    const pool = new DhcpPool(START)
    for (let n = 0; n < 16; n++) {
      assert.equal(ask(pool, n), PASS)
      assert.equal(ask(pool, n, REQUEST), PASS)
    }
    assert.equal(pool.free, 0)
    assert.equal(ask(pool, 16), Refuse.dhcpPool)
    assert.equal(ask(pool, 16, REQUEST), Refuse.dhcpPool)
    assert.equal(ask(pool, 3), PASS)
  })

  it('may be asked for by name; what is taken is answered with a NAK, which takes none', () => {
    const pool = new DhcpPool(START)
    assert.equal(ask(pool, 0, DISCOVER, [requested('10.0.2.20')]), PASS)
    assert.equal(ask(pool, 1, REQUEST, [requested('10.0.2.20')]), PASS)
    assert.equal(pool.free, 15)
    assert.equal(ask(pool, 1, REQUEST, [requested('192.168.1.1')]), PASS)
    assert.equal(pool.free, 15)
    assert.equal(ask(pool, 1, DISCOVER, [requested('192.168.1.1')]), PASS, 'another address is offered')
    assert.equal(pool.free, 14)
  })

  it('go to the stations behind one source address only up to its share', () => {
    const pool = new DhcpPool(START)
    for (let n = 0; n < LEASES_PER_SOURCE; n++) assert.equal(ask(pool, n, DISCOVER, [], 99), PASS)
    assert.equal(ask(pool, 10, DISCOVER, [], 99), Refuse.dhcpShare)
    assert.equal(ask(pool, 0, DISCOVER, [], 99), PASS)
    assert.equal(ask(pool, 10, DISCOVER, [], 98), PASS)
  })

  it('are not given back', () => {
    const pool = new DhcpPool(START)
    ask(pool, 0)
    assert.equal(ask(pool, 0, RELEASE), Refuse.notOurs)
    assert.equal(pool.free, 15)
  })
})
