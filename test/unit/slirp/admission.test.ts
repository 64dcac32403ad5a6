import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Admission } from '#src/slirp/admission.js'
import { Connections } from '#src/slirp/connections.js'
import { OPENS, PASS, type Refusal, Refuse, refusals } from '#src/slirp/refusals.js'
import { parseIpv6 } from '#src/wire/ip-address.js'
import { ALICE, BOB, BROADCAST } from '../../support/frames.js'
import {
  arp,
  bytes4,
  dhcp,
  echoRequest,
  ethernet,
  etherType,
  ip,
  protocol,
  tcp,
  tcpFlag,
  udp,
} from '../../support/packets.js'
import { slirpConfig } from '../../support/slirp-config.js'

const GATEWAY = '52:55:0a:00:02:02'
const GATEWAY_6 = '52:56:00:00:00:02'
const guest = bytes4('10.0.2.15')
const guest6 = parseIpv6('fd00::15') as Uint8Array
const syn = tcp({ from: 40000, to: 80, seq: 1, flags: tcpFlag.syn })
const ack = tcp({ from: 40000, to: 80, seq: 1, flags: tcpFlag.ack })

const names = ['pass', 'opens', ...refusals]

function verdictOn(bytes: Uint8Array, options: object = {}): string {
  const admission = new Admission({ config: slirpConfig(options), connections: new Connections(16), give: () => {} })
  // Frames lie anywhere in a larger buffer; what lies behind them is another's.
  const buffer = new Uint8Array(bytes.length + 100).fill(0xff)
  buffer.set(bytes, 7)
  return names[admission.judge(buffer, 7, bytes.length)] as string
}
const toIpv4 = (destination: string, proto: number, payload: Uint8Array, mac = GATEWAY, source = guest) =>
  ethernet(mac, ALICE, etherType.ipv4, ip(source, bytes4(destination), proto, payload))
const toIpv6 = (destination: string, proto: number, payload: Uint8Array, mac = GATEWAY_6, source = guest6) =>
  ethernet(mac, ALICE, etherType.ipv6, ip(source, parseIpv6(destination) as Uint8Array, proto, payload))
/** The frame with some of its bytes replaced, by their places behind the Ethernet header. */
const changed = (frame: Uint8Array, bytes: Record<number, number>) => {
  const copy = Uint8Array.from(frame)
  for (const [place, value] of Object.entries(bytes)) copy[14 + Number(place)] = value
  return copy
}

describe('a frame on its way to libslirp', () => {
  it('has a place among the counters for each verdict', () => {
    assert.deepEqual([PASS, OPENS, Refuse.notOurs, Refuse.sequence], [0, 1, 2, names.length - 1])
  })

  it('passes when it is to the gateway or to all', () => {
    assert.equal(verdictOn(toIpv4('192.0.2.1', protocol.tcp, ack)), 'pass')
    assert.equal(verdictOn(toIpv6('2001:db8::1', protocol.tcp, ack)), 'pass')
    const request = arp(1, { mac: ALICE, ip: '10.0.2.15' }, { mac: BOB, ip: '10.0.2.2' })
    assert.equal(verdictOn(ethernet(BROADCAST, ALICE, etherType.arp, request)), 'pass')
    for (const mac of ['52:55:0a:00:02:03', '52:56:00:00:00:03']) {
      assert.equal(verdictOn(toIpv4('192.0.2.1', protocol.tcp, ack, mac)), 'pass', mac)
    }
  })

  const others = [
    BOB,
    '52:54:00:00:00:01',
    // A VM of lima, and those that differ from the gateway in one byte.
    '52:55:55:66:93:02',
    '52:55:0a:00:02:04',
    '52:55:0a:01:02:02',
    '52:56:00:00:00:04',
    '52:56:0a:00:02:02',
  ]
  for (const mac of others) {
    it(`is ignored when it is to another station, as a flooded one may be: ${mac}`, () => {
      assert.equal(verdictOn(toIpv4('10.0.2.16', protocol.tcp, syn, mac)), 'not-ours')
      assert.equal(verdictOn(toIpv6('fd00::16', protocol.tcp, syn, mac)), 'not-ours')
    })
  }

  it('is ignored when a packet to one station is in a frame to all', () => {
    for (const mac of [BROADCAST, '01:00:5e:00:00:01']) {
      assert.equal(verdictOn(toIpv4('10.0.2.16', protocol.tcp, syn, mac)), 'not-ours')
      assert.equal(verdictOn(toIpv4('192.0.2.1', protocol.udp, udp(1, 2, syn), mac)), 'not-ours')
    }
    assert.equal(verdictOn(toIpv6('2001:db8::1', protocol.udp, udp(1, 2, syn), '33:33:00:00:00:01')), 'not-ours')
    assert.equal(verdictOn(toIpv4('10.0.2.2', protocol.icmp, echoRequest(1), BROADCAST)), 'pass')
  })

  it('is ignored when it is neither IP nor ARP', () => {
    assert.equal(verdictOn(ethernet(BROADCAST, ALICE, 0x88b5, new Uint8Array(46))), 'not-ours')
    assert.equal(verdictOn(ethernet(BROADCAST, ALICE, 0x88f8, new Uint8Array(46))), 'not-ours', 'NC-SI')
  })

  it('does not pass when it is cut short anywhere', () => {
    const request = arp(1, { mac: ALICE, ip: '10.0.2.15' }, { mac: BOB, ip: '10.0.2.2' })
    for (const whole of [
      toIpv4('192.0.2.1', protocol.tcp, syn),
      toIpv4('255.255.255.255', protocol.udp, udp(68, 67, dhcp(1, ALICE)), BROADCAST),
      toIpv6('2001:db8::1', protocol.udp, udp(1, 53, syn)),
      ethernet(BROADCAST, ALICE, etherType.arp, request),
    ]) {
      for (let length = 0; length < whole.length; length++) {
        assert.ok(!['pass', 'opens'].includes(verdictOn(whole.subarray(0, length))), `${length} bytes`)
      }
    }
  })

  for (const address of ['127.0.0.1', '127.255.255.254', '0.0.0.0', '0.1.2.3']) {
    it(`is refused when it is to ${address}`, () => {
      assert.equal(verdictOn(toIpv4(address, protocol.tcp, syn)), 'unroutable')
      assert.equal(verdictOn(toIpv4(address, protocol.udp, udp(1, 9676, syn))), 'unroutable')
      assert.equal(verdictOn(toIpv4(address, protocol.icmp, echoRequest(1))), 'unroutable')
    })
  }

  for (const address of ['::1', '::', '::7f00:1', '::ffff:7f00:1', '::ffff:a00:1']) {
    it(`is refused when it is to ${address}`, () => {
      assert.equal(verdictOn(toIpv6(address, protocol.tcp, syn)), 'unroutable')
    })
  }

  for (const address of [
    '10.0.2.2',
    '10.0.2.3',
    '10.0.2.255',
    '255.255.255.255',
    '127.0.0.1',
    '224.0.0.1',
    '0.0.0.0',
  ]) {
    it(`is refused when it is from ${address}`, () => {
      assert.equal(verdictOn(toIpv4('192.0.2.1', protocol.tcp, syn, GATEWAY, bytes4(address))), 'source')
    })
  }

  for (const address of ['fd00::2', 'fe80::2', 'fe80::3', 'ff02::1', '::', '::1']) {
    it(`is refused when it is from ${address}`, () => {
      const source = parseIpv6(address) as Uint8Array
      assert.equal(verdictOn(toIpv6('2001:db8::1', protocol.udp, udp(1, 2, syn), GATEWAY_6, source)), 'source')
    })
  }

  it('is told apart when it may open a socket', () => {
    assert.equal(verdictOn(toIpv4('192.0.2.1', protocol.tcp, syn)), 'opens')
    assert.equal(verdictOn(toIpv6('2001:db8::1', protocol.tcp, syn)), 'opens')
    assert.equal(verdictOn(toIpv4('192.0.2.1', protocol.udp, udp(5000, 53, syn))), 'opens')
    assert.equal(verdictOn(toIpv6('2001:db8::1', protocol.udp, udp(5000, 53, syn))), 'opens')
    assert.equal(verdictOn(toIpv4('192.0.2.1', protocol.icmp, echoRequest(1))), 'opens')
    assert.equal(verdictOn(toIpv4('10.0.2.2', protocol.icmp, echoRequest(1))), 'pass', 'libslirp answers by itself')
  })

  it('opens none when it is a request for an address to the server or to all, and does anywhere else', () => {
    const discover = udp(68, 67, dhcp(1, ALICE))
    const zero = bytes4('0.0.0.0')
    assert.equal(verdictOn(toIpv4('255.255.255.255', protocol.udp, discover, BROADCAST, zero)), 'pass')
    assert.equal(verdictOn(toIpv4('10.0.2.2', protocol.udp, discover)), 'pass')
    for (const address of ['10.0.2.3', '192.0.2.1', '10.0.2.255', '224.0.0.1']) {
      assert.equal(verdictOn(toIpv4(address, protocol.udp, discover)), 'opens', address)
    }
    const inform = udp(546, 547, Uint8Array.of(11, 1, 2, 3, 0, 6, 0, 2, 0, 23))
    assert.equal(verdictOn(toIpv6('ff02::1:2', protocol.udp, inform, '33:33:00:01:00:02')), 'pass')
    assert.equal(verdictOn(toIpv6('fd00::2', protocol.udp, inform)), 'pass')
    for (const address of ['fd00::3', '2001:db8::1', 'ff02::1:3', 'ff05::1:3']) {
      assert.equal(verdictOn(toIpv6(address, protocol.udp, inform)), 'opens', address)
    }
  })

  const offer = dhcp(1, ALICE)
  const malformed: Record<string, [Uint8Array, Refusal]> = {
    'an IPv4 header of less than 20 bytes': [changed(toIpv4('192.0.2.1', protocol.tcp, ack), { 0: 0x44 }), 'ip'],
    'an IPv4 header that is longer than the packet': [changed(toIpv4('192.0.2.1', protocol.tcp, ack), { 3: 19 }), 'ip'],
    'an IPv4 packet that is longer than the frame': [changed(toIpv4('192.0.2.1', protocol.tcp, ack), { 2: 1 }), 'ip'],
    'a wrong IPv4 checksum': [changed(toIpv4('192.0.2.1', protocol.tcp, ack), { 10: 0 }), 'ip'],
    'the reserved bit of IPv4': [changed(toIpv4('192.0.2.1', protocol.tcp, ack), { 6: 0xc0, 10: 0 }), 'ip'],
    'version 5 in an IPv6 frame': [changed(toIpv6('2001:db8::1', protocol.tcp, ack), { 0: 0x50 }), 'ip'],
    'an IPv6 packet that is longer than the frame': [changed(toIpv6('2001:db8::1', protocol.tcp, ack), { 4: 1 }), 'ip'],
    'a hop limit of 0': [changed(toIpv6('2001:db8::1', protocol.tcp, ack), { 7: 0 }), 'ip'],
    'a TCP header of less than 20 bytes': [changed(toIpv4('192.0.2.1', protocol.tcp, ack), { 32: 0x40 }), 'tcp'],
    'a TCP header that is longer than the segment': [
      changed(toIpv6('2001:db8::1', protocol.tcp, ack), { 52: 0xf0 }),
      'tcp',
    ],
    'a TCP option of length 0': [toIpv4('192.0.2.1', protocol.tcp, withOptions(2, 0, 0, 0)), 'tcp'],
    'a TCP option that leaves the header': [toIpv4('192.0.2.1', protocol.tcp, withOptions(1, 1, 2, 4)), 'tcp'],
    'a TCP option without a length': [toIpv4('192.0.2.1', protocol.tcp, withOptions(1, 1, 1, 2)), 'tcp'],
    'a UDP length of less than 8': [toIpv4('192.0.2.1', protocol.udp, changedUdp(7)), 'udp'],
    'a UDP length beyond the packet': [toIpv6('2001:db8::1', protocol.udp, changedUdp(13)), 'udp'],
    'a UDP port of 0': [toIpv4('192.0.2.1', protocol.udp, udp(1, 0, syn)), 'udp'],
    'an ICMP message of less than 8 bytes': [toIpv4('192.0.2.1', protocol.icmp, Uint8Array.of(8, 0, 0, 0, 1)), 'icmp'],
    'an ARP address that is not of Ethernet': [
      changed(
        ethernet(
          BROADCAST,
          ALICE,
          etherType.arp,
          arp(1, { mac: ALICE, ip: '10.0.2.15' }, { mac: BOB, ip: '10.0.2.2' }),
        ),
        { 4: 8 },
      ),
      'arp',
    ],
    'a DHCP option that leaves the message': [
      toIpv4(
        '255.255.255.255',
        protocol.udp,
        udp(68, 67, Buffer.concat([offer.subarray(0, -1), Uint8Array.of(50, 200)])),
      ),
      'dhcp',
    ],
    'a DHCP message that is no request': [
      toIpv4('255.255.255.255', protocol.udp, udp(68, 67, Buffer.concat([Uint8Array.of(2), offer.subarray(1)]))),
      'dhcp',
    ],
    'a DHCPv6 option that leaves the message': [
      toIpv6('ff02::1:2', protocol.udp, udp(546, 547, Uint8Array.of(11, 1, 2, 3, 0, 6, 0, 9, 0, 23))),
      'dhcp',
    ],
    'a neighbour discovery option of length 0': [solicitation(Uint8Array.of(1, 0, 2, 0, 0, 0, 0, 1)), 'nd'],
    'a neighbour discovery option that leaves the message': [solicitation(Uint8Array.of(1, 2, 2, 0, 0, 0, 0, 1)), 'nd'],
    'a neighbour solicitation from beyond the network': [
      changed(solicitation(Uint8Array.of(1, 1, 2, 0, 0, 0, 0, 1)), { 7: 64 }),
      'nd',
    ],
    'an IPv6 fragment': [toIpv6('2001:db8::1', 44, new Uint8Array(64)), 'unsupported'],
    'IPv6 hop-by-hop options': [toIpv6('2001:db8::1', 0, new Uint8Array(64)), 'unsupported'],
    'IPv6 destination options': [toIpv6('2001:db8::1', 60, new Uint8Array(64)), 'unsupported'],
    'a protocol that libslirp does not have': [toIpv4('192.0.2.1', 47, new Uint8Array(64)), 'unsupported'],
    'a ping of an IPv6 address outside': [
      toIpv6('2001:db8::1', protocol.icmpv6, Uint8Array.of(128, 0, 0, 0, 0, 1, 0, 1)),
      'unsupported',
    ],
    'a TFTP request to the gateway': [
      toIpv4('10.0.2.2', protocol.udp, udp(1000, 69, Buffer.from('\0\x01../etc/passwd\0octet\0'))),
      'unsupported',
    ],
  }
  for (const [what, [frame, why]] of Object.entries(malformed)) {
    it(`is refused when it has ${what}`, () => assert.equal(verdictOn(frame), why))
  }

  it('passes with the neighbour discovery of a guest', () => {
    assert.equal(verdictOn(solicitation(Uint8Array.of(1, 1, 2, 0, 0, 0, 0, 1))), 'pass')
  })

  it('reaches libslirp without what lies behind the packet', () => {
    const given: number[] = []
    const admission = new Admission({
      config: slirpConfig(),
      connections: new Connections(16),
      give: (_address, length) => given.push(length),
    })
    const frame = toIpv6('2001:db8::1', protocol.tcp, ack)
    const padded = Buffer.concat([frame, new Uint8Array(9)])
    admission.admit(padded, 0, padded.length, 0, 0)
    assert.deepEqual(given, [frame.length])
  })

  it('is counted under its reason when it is refused', () => {
    const admission = new Admission({ config: slirpConfig(), connections: new Connections(16), give: () => {} })
    for (const frame of [toIpv4('127.0.0.1', protocol.tcp, syn), toIpv4('192.0.2.1', protocol.tcp, syn, BOB)]) {
      admission.admit(frame, 0, frame.length, 0, 0)
    }
    assert.deepEqual(admission.counts.list(), [
      ['not-ours', 1],
      ['unroutable', 1],
    ])
    assert.equal(admission.counts.total, 1)
  })
})

function withOptions(...options: number[]): Uint8Array {
  const segment = Buffer.concat([syn, Uint8Array.from(options)])
  segment[12] = ((20 + options.length) / 4) << 4
  return segment
}

function changedUdp(length: number): Uint8Array {
  const datagram = Buffer.from(udp(1, 2, new Uint8Array(4)))
  datagram.writeUInt16BE(length, 4)
  return datagram
}

function solicitation(options: Uint8Array): Uint8Array {
  const fixed = Buffer.concat([Uint8Array.of(135, 0, 0, 0, 0, 0, 0, 0), parseIpv6('fd00::2') as Uint8Array])
  const frame = toIpv6('ff02::1:ff00:2', protocol.icmpv6, Buffer.concat([fixed, options]), '33:33:ff:00:00:02')
  return changed(frame, { 7: 255 })
}
