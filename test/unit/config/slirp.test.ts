import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { effectiveConfig } from '#src/config/effective.js'
import type { AutoConfig } from '#src/config/interfaces/auto.js'
import type { SlirpConfig } from '#src/config/interfaces/slirp.js'
import { complaints, load } from './load-text.js'

const slirp = (options = 'mtu: 1500') =>
  load(`interfaces: [{ name: nat, type: slirp, ${options} }]`).interfaces[0] as SlirpConfig
const complaintsAbout = (options: string) => complaints(`interfaces: [{ name: nat, type: slirp, ${options} }]`)

describe('the options of a slirp interface', () => {
  it("have QEMU's addresses by default", () => {
    const { network, gateway, dns, dhcpStart, hostLoopback, restricted } = slirp()
    assert.deepEqual(
      { network, gateway, dns, dhcpStart },
      {
        network: '10.0.2.0/24',
        gateway: '10.0.2.2',
        dns: '10.0.2.3',
        dhcpStart: '10.0.2.15',
      },
    )
    assert.equal(hostLoopback, false)
    assert.equal(restricted, false)
  })

  it('derive addresses from the network', () => {
    const { gateway, dns, dhcpStart, ipv6 } = slirp('network: 172.20.4.0/27, ipv6: { prefix: "fd12:3456:789a:1::/64" }')
    assert.deepEqual([gateway, dns, dhcpStart], ['172.20.4.2', '172.20.4.3', '172.20.4.15'])
    assert.deepEqual(ipv6, {
      prefix: 'fd12:3456:789a:1::/64',
      gateway: 'fd12:3456:789a:1::2',
      dns: 'fd12:3456:789a:1::3',
    })
  })

  it('are written back as they would be in a file', () => {
    const text = 'interfaces: [{ name: nat, type: slirp, dns: false, ipv6: false, hostname: vm, search: [a.example] }]'
    const config = load(text)
    assert.deepEqual(load(JSON.stringify(effectiveConfig(config))).interfaces, config.interfaces)
  })

  for (const [options, complaint] of [
    [
      'network: 10.0.2.1/24',
      'interfaces[0].network: "10.0.2.1/24" is not an IPv4 network of 8 to 27 bits such as "10.0.2.0/24"',
    ],
    [
      'network: 10.0.2.0/28',
      'interfaces[0].network: "10.0.2.0/28" is not an IPv4 network of 8 to 27 bits such as "10.0.2.0/24"',
    ],
    [
      'network: 127.0.0.0/8',
      'interfaces[0].network: "127.0.0.0/8" is not an IPv4 network of 8 to 27 bits such as "10.0.2.0/24"',
    ],
    ['gateway: 10.0.3.2', 'interfaces[0].gateway: "10.0.3.2" is not the address of a station in 10.0.2.0/24'],
    ['gateway: 10.0.2.255', 'interfaces[0].gateway: "10.0.2.255" is not the address of a station in 10.0.2.0/24'],
    [
      'dns: 10.0.2.20',
      'interfaces[0].dns: "10.0.2.20" is among the 16 addresses that guests get, 10.0.2.15 to 10.0.2.30',
    ],
    ['dns: 10.0.2.2', 'interfaces[0].dns: "10.0.2.2" is the gateway, too; they must differ'],
    ['dhcpStart: 10.0.2.240', 'interfaces[0].dhcpStart: "10.0.2.240" leaves less than 16 addresses in 10.0.2.0/24'],
    [
      'mtu: 9000',
      'interfaces[0].mtu: 9000 makes frames of 9014 bytes, more than interfaces[0].port.maxFrameSize, which is 1518',
    ],
    [
      'ipv6: { prefix: "fd00::1/64" }',
      'interfaces[0].ipv6.prefix: "fd00::1/64" is not an IPv6 network of 64 bits such as "fd00::/64"',
    ],
    [
      'ipv6: { prefix: "::/64" }',
      'interfaces[0].ipv6.prefix: "::/64" is not an IPv6 network of 64 bits such as "fd00::/64"',
    ],
    [
      'forwards: [{ host: "127.0.0.1:22", guest: "192.0.2.1:22" }]',
      'interfaces[0].forwards[0]: "192.0.2.1:22" is not in 10.0.2.0/24',
    ],
    [
      'ipv6: false, forwards: [{ host: "[::1]:22", guest: "[fd00::15]:22" }]',
      'interfaces[0].forwards[0]: "[fd00::15]:22" is an IPv6 address, and ipv6 is false',
    ],
    [
      'forwards: [{ host: "/run/a.sock", guest: "[fd00::15]:22" }]',
      'interfaces[0].forwards[0]: "/run/a.sock" and "[fd00::15]:22" are not both IPv4 or both IPv6 (unix sockets go to IPv4)',
    ],
    [
      'forwards: [{ protocol: udp, host: "127.0.0.1:53", guest: "10.0.2.15:53" }]',
      `interfaces[0].forwards[0]: answers to datagrams from "127.0.0.1:53" are part of the host's loopback: udp needs hostLoopback: true`,
    ],
    [
      'forwards: [{ protocol: udp, host: "0.0.0.0:53", guest: "10.0.2.15:53" }, { protocol: udp, host: "0.0.0.0:54", guest: "10.0.2.15:53" }]',
      'interfaces[0].forwards[1].guest: udp port "10.0.2.15:53" of the guest is forwarded from "0.0.0.0:53" already, and answers would come from there; forward to another port of the guest',
    ],
    [
      'forwards: [{ protocol: udp, host: "[::]:53", guest: "[fd00::15]:53" }, { protocol: udp, host: "[::]:54", guest: "[fd00:0::15]:53" }]',
      'interfaces[0].forwards[1].guest: udp port "[fd00:0::15]:53" of the guest is forwarded from "[::]:53" already, and answers would come from there; forward to another port of the guest',
    ],
  ] as const) {
    it(`refuse ${options}`, () => assert.deepEqual(complaintsAbout(options), [complaint]))
  }
})

describe('two slirp interfaces', () => {
  const both = (second: string) => complaints(`interfaces: [{ name: a, type: slirp }, { name: b, ${second} }]`)

  it('are refused with one gateway, which both would answer for', () => {
    const complaint =
      'interfaces[1].network: "10.0.2.2" is the gateway of interfaces[0], too, and both would answer for it; give one of them another network'
    assert.deepEqual(both('type: slirp'), [complaint])
    assert.deepEqual(both('type: slirp, ipv6: false'), [complaint])
    assert.deepEqual(both('type: auto'), [complaint], 'which may become one')
  })

  it('are refused where both announce an IPv6 router', () => {
    assert.deepEqual(both('type: slirp, network: 10.0.3.0/24'), [
      'interfaces[1].ipv6: interfaces[0] is the IPv6 router fe80::2 of this switch already; set ipv6: false on one of them',
    ])
  })

  it('stand side by side otherwise, and several TCP forwards may lead to one port', () => {
    assert.deepEqual(both('type: slirp, network: 10.0.3.0/24, ipv6: false'), [])
    const forwards = ['1', '2'].map(port => `{ host: "127.0.0.1:${port}", guest: "10.0.2.15:22" }`)
    assert.deepEqual(complaintsAbout(`forwards: [${forwards}]`), [])
  })
})

describe('the options of an auto interface', () => {
  it('are handed to what it becomes', () => {
    const text = `
      switch: { maxFrameSize: 1400 }
      interfaces: [{ name: up, type: auto, forwards: [{ host: "127.0.0.1:22", guest: "10.0.2.15:22" }], port: { queueFrames: 7 } }]`
    const { slirp, port } = load(text).interfaces[0] as AutoConfig
    assert.equal(slirp.mtu, 1386, 'what a frame of the switch has room for')
    assert.deepEqual(slirp.forwards, [{ protocol: 'tcp', host: '127.0.0.1:22', guest: '10.0.2.15:22' }])
    assert.equal(port.queueFrames, 7)
    assert.deepEqual(slirp.port, port)
  })

  it('are written back as they would be in a file', () => {
    const config = load('interfaces: [{ name: up, type: auto }]')
    assert.deepEqual(load(JSON.stringify(effectiveConfig(config))).interfaces, config.interfaces)
  })
})
