import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compileFilter, FilterError } from '#src/wire/filter.js'

const broadcast = 'ffffffffffff'
const a = '020000000001'
const b = '020000000002'
const arp = `${broadcast}${a}0806 0001080006040001 ${a} 0a000001 000000000000 0a000002`
const ipv4 = (protocol: string, rest: string, fragment = '0000') =>
  `${b}${a}0800 4500001c0000${fragment}40${protocol}0000 0a000001 c0a80a02 ${rest}`
const tcp = ipv4('06', '1f90 0050 00000000')
const udp = ipv4('11', '0035 d431 00080000')
const laterFragment = ipv4('11', '0035 d431 00080000', '00b9')
const ping = ipv4('01', '0800 0000 00000000')
const ipv6Addresses = 'fd000000000000000000000000000001 fd000000000000000000000000000002'
const udp6 = `${b}${a}86dd 60000000000811ff ${ipv6Addresses} 0222 0223 00080000`
const hopByHop = `${b}${a}86dd 60000000001000ff ${ipv6Addresses} 3a00050200000000 8700000000000000`
const tagged = `${b}${a}8100 6007 ${tcp.slice(24)}`
const frames = { arp, tcp, udp, laterFragment, ping, udp6, hopByHop, tagged }

/** Names of the frames that match. */
function matching(expression: string): string[] {
  const filter = compileFilter(expression)
  return Object.entries(frames)
    .filter(([, hex]) => {
      const frame = Buffer.from(`ffff${hex.replaceAll(' ', '')}`, 'hex')
      return filter(frame, 2, frame.length - 2)
    })
    .map(([name]) => name)
}

describe('a filter', () => {
  const ip4 = ['tcp', 'udp', 'laterFragment', 'ping', 'tagged']
  const cases: readonly [string, readonly string[]][] = [
    ['arp', ['arp']],
    ['ip', ip4],
    ['ip6', ['udp6', 'hopByHop']],
    ['tcp', ['tcp', 'tagged']],
    ['icmp', ['ping']],
    ['icmp6', ['hopByHop']],
    ['broadcast', ['arp']],
    ['vlan', ['tagged']],
    ['vlan 7', ['tagged']],
    ['vlan 8', []],
    ['port 80', ['tcp', 'tagged']],
    ['src port 80', []],
    ['udp port 53', ['udp']],
    ['udp and dst port 547', ['udp6']],
    ['host 10.0.0.2', ['arp']],
    ['dst host 192.168.10.2', ip4],
    ['src net 10.0.0.0/8', ['arp', ...ip4]],
    ['net 192.168.0.0/20', ip4],
    ['net 192.168.16.0/20', []],
    ['host fd00::2', ['udp6', 'hopByHop']],
    ['net fd00::/7', ['udp6', 'hopByHop']],
    ['ether src 02:00:00:00:00:02', []],
    ['ether host 02-00-00-00-00-02 and not ip', ['udp6', 'hopByHop']],
    ['ether 02:00:00:00:00:01 and arp', ['arp']],
    ['ether proto 0x86dd', ['udp6', 'hopByHop']],
    ['not (ip or ip6)', ['arp']],
    ['!(ip||ip6)&&broadcast', ['arp']],
    ['arp or icmp and ip6', ['arp']],
    ['greater 60', ['udp6', 'hopByHop']],
  ]
  for (const [expression, names] of cases) {
    it(`${expression}`, () => assert.deepEqual(matching(expression), names))
  }

  it('never reads beyond a frame that was cut short', () => {
    const filter = compileFilter('not tcp port 80 and not host 10.0.0.1')
    for (const hex of Object.values(frames)) {
      const frame = Buffer.from(hex.replaceAll(' ', ''), 'hex')
      for (let length = 0; length <= frame.length; length++) filter(frame.subarray(0, length), 0, length)
    }
    const cut = Buffer.from(tcp.replaceAll(' ', ''), 'hex')
    assert.equal(compileFilter('port 80')(cut, 0, 36), false)
  })
})

describe('an expression that is none', () => {
  const cases: readonly [string, string][] = [
    ['', 'the expression ends too early'],
    ['arp and', 'the expression ends too early'],
    ['(arp', 'a ")" is missing'],
    ['arp arp', '"arp" is not expected here'],
    ['port http', '"http" is not a whole number from 0 to 65535'],
    ['net 10.0.0.0/33', '"33" is not a whole number from 0 to 32'],
    ['host example', '"example" is not an IP address'],
    ['ether host x', '"x" is not a MAC address such as 52:54:00:12:34:56'],
    ['constructor', '"constructor" is not one of host, net, port,'],
  ]
  for (const [expression, message] of cases) {
    it(`says why: ${expression || '(nothing)'}`, () => {
      assert.throws(
        () => compileFilter(expression),
        error => error instanceof FilterError && error.message.startsWith(message),
      )
    })
  }

  it('cannot nest without end', () => {
    assert.throws(() => compileFilter(`${'('.repeat(100)}arp${')'.repeat(100)}`), FilterError)
    assert.throws(() => compileFilter(`${'! '.repeat(500)}arp`), FilterError)
    assert.throws(() => compileFilter('arp or '.repeat(200)), FilterError)
  })
})
