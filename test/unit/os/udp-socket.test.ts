import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { darwinLayout, linuxLayout } from '#src/os/layout.js'
import { platformLayout } from '#src/os/os.js'
import { decodeInetAddress, encodeInetAddress, ipOffset } from '#src/os/sockaddr-in.js'
import * as udp from '#src/os/udp-socket.js'
import { closeSocket } from '#src/os/unix-socket.js'
import { parseIp } from '#src/wire/ip-prefix.js'
import { requirements } from '../../support/requires.js'
import { UdpPeer } from '../../support/udp-peer.js'

const ip = (text: string) => parseIp(text) as Uint8Array
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const layout = platformLayout()

describe('an address of a UDP socket', () => {
  const ipv4 = { ip: ip('10.0.0.1'), port: 4789, scope: 0 }
  const ipv6 = { ip: ip('fe80::1'), port: 4789, scope: 3 }

  it('is struct sockaddr_in and sockaddr_in6 on Linux', () => {
    assert.equal(hex(encodeInetAddress(linuxLayout, ipv4)), '020012b50a0000010000000000000000')
    assert.equal(hex(encodeInetAddress(linuxLayout, ipv6)), '0a0012b500000000fe80000000000000000000000000000103000000')
  })

  it('has its length in front of the family on macOS', () => {
    assert.equal(hex(encodeInetAddress(darwinLayout, ipv4)), '100212b50a0000010000000000000000')
    assert.equal(hex(encodeInetAddress(darwinLayout, ipv6)), '1c1e12b500000000fe80000000000000000000000000000103000000')
  })

  it('is read back, and where its IP address is', () => {
    for (const each of [linuxLayout, darwinLayout]) {
      for (const address of [ipv4, ipv6]) {
        const raw = encodeInetAddress(each, address)
        assert.deepEqual(decodeInetAddress(each, raw), address)
        assert.equal(hex(raw.subarray(ipOffset(raw.length)).subarray(0, address.ip.length)), hex(address.ip))
      }
      assert.equal(decodeInetAddress(each, Uint8Array.of(1, 0, 0, 0)), undefined)
      assert.equal(decodeInetAddress(each, encodeInetAddress(each, ipv6).subarray(0, 16)), undefined)
    }
  })
})

describe('a UDP socket', () => {
  it('tells the port it was given', () => {
    const fd = udp.openUdp(layout, 4)
    assert.equal(udp.bindUdp(layout, fd, { ip: ip('127.0.0.1'), port: 0, scope: 0 }), 0)
    const local = udp.localAddress(layout, fd)
    assert.deepEqual(local?.ip, ip('127.0.0.1'))
    assert.ok(local.port > 0)
    closeSocket(fd)
  })

  it('is refused an address that is taken, or is not here', () => {
    const taken = UdpPeer.bind('127.0.0.1:0')
    const port = Number(taken.address.split(':')[1])
    const fd = udp.openUdp(layout, 4)
    assert.equal(udp.bindUdp(layout, fd, { ip: ip('127.0.0.1'), port, scope: 0 }), -layout.errno.EADDRINUSE)
    assert.equal(udp.bindUdp(layout, fd, { ip: ip('203.0.113.1'), port: 0, scope: 0 }), -layout.errno.EADDRNOTAVAIL)
    closeSocket(fd)
    taken.close()
  })

  it('leaves IPv4 to IPv4 sockets', () => {
    const six = UdpPeer.bind('[::]:0')
    const port = six.address.slice(six.address.lastIndexOf(':') + 1)
    const four = UdpPeer.bind(`0.0.0.0:${port}`)
    four.close()
    six.close()
  })

  it('refuses what is longer than the path', requirements({ platform: 'linux' }), () => {
    // The largest datagram there is; loopback takes 65,536 bytes with the headers.
    const fd = UdpPeer.bind('127.0.0.1:0', { sendTo: '127.0.0.1:9', maxFrameSize: 65_600 })
    assert.equal(fd.sendNow(new Uint8Array(65_507)).error, null)
    assert.equal(fd.sendNow(new Uint8Array(65_508)).error, 'EMSGSIZE')
    fd.close()
  })

  it('knows the path and the interfaces', requirements({ platform: 'linux' }), () => {
    assert.ok((udp.pathMtu(layout, { ip: ip('127.0.0.1'), port: 9, scope: 0 }) ?? 0) >= 65_535)
    assert.ok((udp.pathMtu(layout, { ip: ip('::1'), port: 9, scope: 0 }) ?? 0) >= 65_535)
    assert.equal(udp.interfaceIndex('lo'), 1)
    assert.equal(udp.interfaceIndex('no-such-if'), 0)
  })

  it('counts what it had no room for', requirements({ platform: 'linux' }), () => {
    const slow = UdpPeer.bind('127.0.0.1:0')
    const sender = UdpPeer.bind('127.0.0.1:0', { sendTo: slow.address })
    assert.equal(udp.receiveOverflows(layout, slow.fd), 0)
    const frames = Array.from({ length: 512 }, () => new Uint8Array(9000))
    for (let i = 0; i < 64 && udp.receiveOverflows(layout, slow.fd) === 0; i++) sender.sendNow(frames)
    assert.ok(udp.receiveOverflows(layout, slow.fd) > 0)
    slow.close()
    sender.close()
  })
})
