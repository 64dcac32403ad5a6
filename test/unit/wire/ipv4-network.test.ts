import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatIpv4 } from '#src/wire/ip-address.js'
import {
  broadcastOf,
  contains,
  formatNetwork,
  type Ipv4Interface,
  netmask,
  networkOf,
  overlap,
  parseIpv4Interface,
} from '#src/wire/ipv4-network.js'

const at = (text: string): Ipv4Interface => parseIpv4Interface(text) ?? assert.fail(text)

describe('an IPv4 network', () => {
  it('is read from address and prefix length', () => {
    assert.deepEqual(at('10.9.0.1/24'), { address: 0x0a090001, prefixLength: 24 })
    assert.deepEqual(at('255.255.255.255/0'), { address: 0xffffffff, prefixLength: 0 })
    for (const text of [
      '10.9.0.1',
      '10.9.0.1/33',
      '10.9.0.1/',
      '10.9.0/24',
      '10.9.0.1/24/1',
      '10.9.0.1/024',
      '',
      '/24',
    ]) {
      assert.equal(parseIpv4Interface(text), undefined, text)
    }
  })

  it('has a first and a last address', () => {
    const ends = (text: string) => [networkOf(at(text)), broadcastOf(at(text))].map(formatIpv4)
    assert.deepEqual(ends('10.9.0.77/24'), ['10.9.0.0', '10.9.0.255'])
    assert.deepEqual(ends('192.168.7.130/26'), ['192.168.7.128', '192.168.7.191'])
    assert.deepEqual(ends('1.2.3.4/0'), ['0.0.0.0', '255.255.255.255'])
    assert.deepEqual(ends('200.2.3.4/32'), ['200.2.3.4', '200.2.3.4'])
    assert.equal(formatNetwork(at('172.16.5.4/20')), '172.16.0.0/20')
  })

  it('has a mask', () => {
    assert.deepEqual([0, 8, 24, 31, 32].map(netmask).map(formatIpv4), [
      '0.0.0.0',
      '255.0.0.0',
      '255.255.255.0',
      '255.255.255.254',
      '255.255.255.255',
    ])
  })

  it('contains its addresses and overlaps what shares one', () => {
    assert.ok(contains(at('10.9.0.1/24'), at('10.9.0.255/32').address))
    assert.ok(!contains(at('10.9.0.1/24'), at('10.9.1.0/32').address))
    assert.ok(overlap(at('10.0.0.1/8'), at('10.9.0.1/24')))
    assert.ok(overlap(at('10.9.0.1/24'), at('10.0.0.1/8')))
    assert.ok(!overlap(at('10.9.0.1/24'), at('10.9.1.1/24')))
  })
})
