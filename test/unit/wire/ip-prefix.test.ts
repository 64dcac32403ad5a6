import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  formatIp,
  type IpPrefix,
  inIpPrefix,
  isMulticastIp,
  isUnspecifiedIp,
  parseIp,
  parseIpPrefix,
} from '#src/wire/ip-prefix.js'

const ip = (text: string) => parseIp(text) as Uint8Array
const within = (prefix: string, address: string) => inIpPrefix(parseIpPrefix(prefix) as IpPrefix, ip(address))

describe('an address of either family', () => {
  it('is read to bytes and written', () => {
    assert.deepEqual([...ip('192.168.64.1')], [192, 168, 64, 1])
    for (const text of ['0.0.0.0', '255.255.255.255', '::', 'fe80::1']) assert.equal(formatIp(ip(text)), text)
    assert.equal(parseIp('1.2.3'), undefined)
  })

  it('is a group, or none, or that of nobody', () => {
    assert.deepEqual(
      ['224.0.0.1', '239.255.255.255', 'ff02::1'].map(text => isMulticastIp(ip(text))),
      [true, true, true],
    )
    assert.deepEqual(
      ['223.255.255.255', '240.0.0.0', 'fe80::1'].map(text => isMulticastIp(ip(text))),
      [false, false, false],
    )
    assert.deepEqual(
      ['0.0.0.0', '::', '0.0.0.1'].map(text => isUnspecifiedIp(ip(text))),
      [true, true, false],
    )
  })
})

describe('a prefix', () => {
  it('contains its addresses and no others', () => {
    assert.ok(within('10.0.0.0/8', '10.255.255.255') && !within('10.0.0.0/8', '11.0.0.0'))
    assert.ok(within('192.0.2.128/25', '192.0.2.129') && !within('192.0.2.128/25', '192.0.2.127'))
    assert.ok(within('192.0.2.1', '192.0.2.1') && !within('192.0.2.1', '192.0.2.2'))
    assert.ok(within('0.0.0.0/0', '203.0.113.9'))
    assert.ok(within('fc00::/7', 'fdff::1') && !within('fc00::/7', 'fe00::'))
    assert.ok(within('2001:db8::/33', '2001:db8:7fff::1') && !within('2001:db8::/33', '2001:db8:8000::1'))
  })

  it('is found anywhere in a buffer', () => {
    const prefix = parseIpPrefix('10.1.0.0/16') as IpPrefix
    assert.ok(inIpPrefix(prefix, Uint8Array.of(0, 0, 10, 1, 9, 9), 2))
    assert.ok(!inIpPrefix(prefix, Uint8Array.of(0, 0, 10, 2, 9, 9), 2))
  })

  it('is nothing else', () => {
    for (const text of [
      '',
      '/8',
      '10.0.0.0/',
      '10.0.0.0/33',
      '10.0.0.1/8',
      '::1/64',
      '::/129',
      '10.0.0.0/8/8',
      'x/8',
    ]) {
      assert.equal(parseIpPrefix(text), undefined, text)
    }
  })
})
