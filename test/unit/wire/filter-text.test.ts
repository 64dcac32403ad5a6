import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FilterError } from '#src/wire/bpf.js'
import { checkFilterText, MAX_FILTER_LENGTH, MAX_FILTER_WORDS } from '#src/wire/filter-text.js'
import { primitives } from '../../support/filter-expressions.js'

describe('the text of a filter', () => {
  it('may have every word of the language', () => {
    for (const expression of primitives) assert.doesNotThrow(() => checkFilterText(expression), expression)
  })

  it('may have names of services and protocols, also after and, or, not and parentheses', () => {
    for (const expression of [
      'port http',
      'tcp port http or https',
      'src port (http or (domain))',
      'portrange ftp-data-ssh',
      'port not http',
      'ip proto \\udp or \\tcp',
      'proto sctp',
      'llc rr',
    ]) {
      assert.doesNotThrow(() => checkFilterText(expression), expression)
    }
  })

  it('has no name that libpcap would look up', () => {
    for (const expression of [
      'host vm.example',
      'host localhost',
      'src vm1',
      'vm1',
      'host 10.0.0.1 or vm1',
      'host (10.0.0.1 or (not vm1))',
      'port http and host vm1',
      'port http and src vm1',
      'port 80 and host 10.0.0.1 and vm1',
      'host \\tcp',
      'net loopback',
      'gateway vm1',
      'ether host vm1',
      'ether host 52:54:00:00:00:01 or vm1',
      'host 10.0.0.0.1',
      'host 1.2.3.x',
      'host cafe:',
      'host cafe::1::2',
      'host 52:54:00:00:00:01:babe',
      'host 52-54',
      'host fd00::1/64.example',
      'len-4 > 5',
      'port http and tcp[13] = 2 and vm1',
      'llc and vm1',
      'port 80 or ra vm1',
      'port http or addr1 vm1',
      'ARP',
    ]) {
      assert.throws(
        () => checkFilterText(expression),
        { name: 'FilterError', message: /are not looked up/ },
        expression,
      )
    }
  })

  it('is bounded in length, words and depth', () => {
    const fits = ['arp '.repeat(MAX_FILTER_WORDS), `${'('.repeat(64)}arp${')'.repeat(64)}`, `${'!'.repeat(64)}arp`]
    for (const expression of fits) assert.doesNotThrow(() => checkFilterText(expression))
    for (const expression of [
      ' '.repeat(MAX_FILTER_LENGTH + 1),
      'arp '.repeat(MAX_FILTER_WORDS + 1),
      `${'('.repeat(65)}arp${')'.repeat(65)}`,
      `${'ip['.repeat(65)}0${']'.repeat(65)}`,
      `${'not '.repeat(65)}arp`,
      `${'!'.repeat(65)}arp`,
    ]) {
      assert.throws(() => checkFilterText(expression), FilterError)
    }
  })

  it('is printable ASCII', () => {
    for (const expression of ['arp\0', 'host \u00e9', 'arp\u2028', 'arp\x1b']) {
      assert.throws(() => checkFilterText(expression), { name: 'FilterError', message: /printable ASCII/ })
    }
  })
})
