import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatHostPort, parseHostPort } from '#src/config/inet-address.js'

describe('an address with a port', () => {
  it('is read and written', () => {
    const forms = [
      ['10.0.0.1:4789', '10.0.0.1:4789'],
      ['10.0.0.1', '10.0.0.1'],
      ['[::1]:7000', '[::1]:7000'],
      ['[::1]', '::1'],
      ['2001:db8::1', '2001:db8::1'],
      ['[fe80::1%eth0]:1', '[fe80::1%eth0]:1'],
      ['fe80::1%eth0', 'fe80::1%eth0'],
      ['Host.Example:80', 'host.example:80'],
      ['localhost', 'localhost'],
    ]
    for (const [text, normal] of forms) {
      const parsed = parseHostPort(text as string)
      assert.equal(parsed && formatHostPort(parsed), normal, text)
    }
  })

  it('says what it is', () => {
    assert.deepEqual(parseHostPort('[fe80::1%en0]:7'), { host: 'fe80::1', family: 6, zone: 'en0', port: 7 })
    assert.deepEqual(parseHostPort('a.example:7'), { host: 'a.example', family: null, zone: null, port: 7 })
  })

  it('is nothing else', () => {
    for (const text of [
      '',
      ':',
      ':7',
      '1.2.3.4:',
      '1.2.3.4:65536',
      '[1.2.3.4:1',
      '[a]:1',
      '::1:70000x',
      '10.0.0.1%lo:1',
      'a b:1',
      '-a:1',
      '1.2.3:1',
      'fe80::1%e%f',
      'fe80::1%',
    ]) {
      assert.equal(parseHostPort(text), undefined, text)
    }
  })
})
