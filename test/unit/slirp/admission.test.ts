import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { judge, Verdict } from '#src/slirp/admission.js'
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

const GATEWAY = '52:55:0a:00:02:02'
const GATEWAY_6 = '52:56:00:00:00:02'
const guest = bytes4('10.0.2.15')
const guest6 = parseIpv6('fd00::15') as Uint8Array
const syn = tcp({ from: 40000, to: 80, seq: 1, flags: tcpFlag.syn })

const verdictOn = (bytes: Uint8Array) => {
  // Frames lie anywhere in a larger buffer.
  const buffer = new Uint8Array(bytes.length + 11)
  buffer.set(bytes, 7)
  return judge(buffer, 7, bytes.length)
}
const toIpv4 = (destination: string, proto: number, payload: Uint8Array, mac = GATEWAY) =>
  ethernet(mac, ALICE, etherType.ipv4, ip(guest, bytes4(destination), proto, payload))
const toIpv6 = (destination: string, proto: number, payload: Uint8Array, mac = GATEWAY_6) =>
  ethernet(mac, ALICE, etherType.ipv6, ip(guest6, parseIpv6(destination) as Uint8Array, proto, payload))

describe('a frame on its way to libslirp', () => {
  it('passes when it is to the gateway or to all', () => {
    const data = tcp({ from: 40000, to: 80, seq: 1, flags: tcpFlag.ack })
    assert.equal(verdictOn(toIpv4('192.0.2.1', protocol.tcp, data)), Verdict.pass)
    assert.equal(verdictOn(toIpv6('2001:db8::1', protocol.tcp, data)), Verdict.pass)
    const request = arp(1, { mac: ALICE, ip: '10.0.2.15' }, { mac: BOB, ip: '10.0.2.2' })
    assert.equal(verdictOn(ethernet(BROADCAST, ALICE, etherType.arp, request)), Verdict.pass)
  })

  it('is ignored when it is to another guest, as a flooded one may be', () => {
    assert.equal(verdictOn(toIpv4('10.0.2.16', protocol.tcp, syn, BOB)), Verdict.notOurs)
    assert.equal(verdictOn(toIpv4('10.0.2.16', protocol.tcp, syn, '52:54:00:00:00:01')), Verdict.notOurs)
  })

  it('is ignored when it is neither IP nor ARP, or cut short', () => {
    assert.equal(verdictOn(ethernet(BROADCAST, ALICE, 0x88b5, new Uint8Array(46))), Verdict.notOurs)
    assert.equal(verdictOn(ethernet(BROADCAST, ALICE, 0x88f8, new Uint8Array(46))), Verdict.notOurs, 'NC-SI')
    for (const whole of [
      toIpv4('192.0.2.1', protocol.tcp, syn),
      toIpv6('2001:db8::1', protocol.udp, udp(1, 53, syn)),
    ]) {
      const shortest = whole.length - syn.length
      for (let length = 0; length < shortest; length++) {
        assert.equal(verdictOn(whole.subarray(0, length)), Verdict.notOurs, `${length} bytes`)
      }
    }
  })

  for (const address of ['127.0.0.1', '127.255.255.254', '0.0.0.0', '0.1.2.3']) {
    it(`is refused when it is to ${address}`, () => {
      assert.equal(verdictOn(toIpv4(address, protocol.tcp, syn)), Verdict.unroutable)
      assert.equal(verdictOn(toIpv4(address, protocol.udp, udp(1, 9676, syn))), Verdict.unroutable)
      assert.equal(verdictOn(toIpv4(address, protocol.icmp, echoRequest(1))), Verdict.unroutable)
    })
  }

  for (const address of ['::1', '::', '::7f00:1', '::ffff:7f00:1', '::ffff:a00:1']) {
    it(`is refused when it is to ${address}`, () => {
      assert.equal(verdictOn(toIpv6(address, protocol.tcp, syn)), Verdict.unroutable)
    })
  }

  it('is told apart when it may open a socket', () => {
    assert.equal(verdictOn(toIpv4('192.0.2.1', protocol.tcp, syn)), Verdict.opens)
    assert.equal(verdictOn(toIpv6('2001:db8::1', protocol.tcp, syn)), Verdict.opens)
    assert.equal(verdictOn(toIpv4('10.0.2.3', protocol.udp, udp(1, 53, syn))), Verdict.opens)
    assert.equal(verdictOn(toIpv4('192.0.2.1', protocol.icmp, echoRequest(1))), Verdict.opens)
    const answer = tcp({ from: 22, to: 40000, seq: 1, flags: tcpFlag.syn | tcpFlag.ack })
    assert.equal(verdictOn(toIpv4('10.0.2.2', protocol.tcp, answer)), Verdict.pass, 'to a forward')
    assert.equal(
      verdictOn(toIpv4('255.255.255.255', protocol.udp, udp(68, 67, dhcp(1, ALICE)), BROADCAST)),
      Verdict.pass,
    )
  })
})
