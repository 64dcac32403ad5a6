import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatIpv4, formatIpv6, isPrivateIpv4, parseIpv4, parseIpv6, prefixLength } from '#src/wire/ip-address.js'

const ipv4 = (text: string) => parseIpv4(text) as number

describe('IPv4 addresses', () => {
  it('are read and written', () => {
    for (const text of ['0.0.0.0', '10.0.2.15', '192.168.64.1', '255.255.255.255']) {
      assert.equal(formatIpv4(ipv4(text)), text)
    }
    assert.equal(ipv4('192.168.64.1'), 0xc0a84001)
  })

  it('are nothing else', () => {
    for (const text of ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.4 ', 'a.b.c.d', '-1.2.3.4']) {
      assert.equal(parseIpv4(text), undefined, text)
    }
  })

  it('are private in the three ranges of RFC 1918 only', () => {
    const inside = ['10.0.0.0', '10.255.255.255', '172.16.0.0', '172.31.255.255', '192.168.0.0', '192.168.255.255']
    const outside = ['9.255.255.255', '11.0.0.0', '172.15.255.255', '172.32.0.0', '192.167.255.255', '192.169.0.0']
    assert.deepEqual(
      inside.filter(text => !isPrivateIpv4(ipv4(text))),
      [],
    )
    assert.deepEqual(
      outside.filter(text => isPrivateIpv4(ipv4(text))),
      [],
    )
  })

  it('have masks whose ones are all in front', () => {
    assert.deepEqual(
      ['0.0.0.0', '255.0.0.0', '255.255.255.0', '255.255.255.252', '255.255.255.255'].map(text =>
        prefixLength(ipv4(text)),
      ),
      [0, 8, 24, 30, 32],
    )
    for (const text of ['255.0.255.0', '0.0.0.255', '255.255.255.1']) assert.equal(prefixLength(ipv4(text)), undefined)
  })
})

describe('IPv6 addresses', () => {
  it('are read and written in their shortest form', () => {
    const forms = [
      ['::', '::'],
      ['::1', '::1'],
      ['fd00::', 'fd00::'],
      ['FD12:3456:789A:1::', 'fd12:3456:789a:1::'],
      ['2001:0db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
      ['0:0:1::', '0:0:1::'],
    ]
    for (const [text, shortest] of forms) {
      assert.equal(formatIpv6(parseIpv6(text as string) as Uint8Array), shortest, text)
    }
    assert.equal(
      Buffer.from(parseIpv6('fd00:1:2:3::') as Uint8Array).toString('hex'),
      'fd000001000200030000000000000000',
    )
  })

  it('are nothing else', () => {
    for (const text of [
      '',
      '1',
      ':1',
      '1::2::3',
      'fd00:::',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '12345::',
      'g::',
      '::1.2.3.4',
      'fd00::/64',
      '1:2:3:4:5:6:7::8',
    ]) {
      assert.equal(parseIpv6(text), undefined, text)
    }
  })
})
