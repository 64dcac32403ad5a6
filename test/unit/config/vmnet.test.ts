import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { VmnetConfig } from '#src/config/interfaces/vmnet.js'
import { effectiveInterface, interfaceClaims } from '#src/config/interfaces.js'
import { complaints, load as loadText } from './load-text.js'

const text = (options: string, limits = '') =>
  `${limits}\ninterfaces: [{ name: up, type: vmnet${options === '' ? '' : `, ${options}`} }]`
const load = (options: string, limits = '') => loadText(text(options, limits)).interfaces[0] as VmnetConfig
const lines = (options: string, limits = '') =>
  complaints(text(options, limits)).map(line => line.replace(/^interfaces\[0\]\.?/, ''))

const range = 'dhcpStart: 192.168.70.1, dhcpEnd: 192.168.70.254, subnetMask: 255.255.255.0'
const uuid = '6a1f3c52-7d0e-4a52-9b1f-0123456789ab'

describe('a vmnet interface', () => {
  it('is shared, not isolated, without offloads, and asks for nothing else', () => {
    const { mode, isolated, enableTso, enableChecksumOffload, dhcp, api, mac, mtu, dhcpStart } = load('').vmnet
    assert.deepEqual(
      { mode, isolated, enableTso, enableChecksumOffload, dhcp, api, mac, mtu, dhcpStart },
      {
        ...{ mode: 'shared', isolated: false, enableTso: false, enableChecksumOffload: false, dhcp: true, api: 'auto' },
        ...{ mac: undefined, mtu: undefined, dhcpStart: undefined },
      },
    )
  })

  it('takes every option where it has a meaning', () => {
    for (const options of [
      `mode: shared, mac: "02:00:00:00:00:01", mtu: 1500, ${range}, isolated: true, interfaceId: ${uuid}`,
      'mode: shared, nat66Prefix: "fd12:3456:789a:1::", externalInterface: en1, dhcp: false',
      `mode: shared, ${range}, reservations: [{ mac: "02:00:00:00:00:02", address: 192.168.70.10 }]`,
      'mode: shared, forwards: [{ host: "0.0.0.0:2222", guest: "192.168.64.2:22" }, { protocol: udp, host: "[::]:53", guest: "[fd00::2]:53" }]',
      `mode: host, networkId: ${uuid}, hostAddress: 10.9.0.1/24`,
      'mode: bridged, bridgeInterface: en0, isolated: true, enableChecksumOffload: true',
    ]) {
      assert.deepEqual(lines(options), [], options)
    }
    assert.deepEqual(lines('enableTso: true', 'switch: { maxFrameSize: 65550 }'), [])
    assert.deepEqual(lines('mtu: 9000', 'switch: { maxFrameSize: 9018 }'), [])
  })

  it('has one port, and claims the interface it joins', () => {
    assert.deepEqual(interfaceClaims(load('mode: bridged, bridgeInterface: en0')), ['vmnet en0'])
    assert.deepEqual(interfaceClaims(load(`mode: host, networkId: ${uuid}`)), [`vmnet network ${uuid}`])
    assert.deepEqual(interfaceClaims(load('')), [])
  })

  it('is written back as it would be in a file', () => {
    for (const options of ['', range, 'mode: bridged, bridgeInterface: en0']) {
      const config = load(options)
      const again = loadText(JSON.stringify({ interfaces: [effectiveInterface(config)] })).interfaces[0]
      assert.deepEqual(JSON.parse(JSON.stringify(again)), JSON.parse(JSON.stringify(config)))
    }
  })
})

describe('a vmnet interface that is refused', () => {
  const wrong: [options: string, ...complaints: string[]][] = [
    ['mode: nat', 'mode: "nat" is not one of "shared", "host", "bridged"'],
    ['bridge: en0', 'bridge: only with type: tap; here it is bridgeInterface'],
    [
      'mode: bridged',
      'bridgeInterface: missing, must be the interface of this machine to join, such as "en0" (tapswitch doctor lists them)',
    ],
    ['mode: bridged, bridgeInterface: "en 0"', 'bridgeInterface: "en 0" is not the name of an interface'],
    ['bridgeInterface: en0', 'bridgeInterface: "en0" is only with mode: bridged'],
    [
      'mode: bridged, bridgeInterface: en0, mtu: 1500',
      'mtu: 1500 is not with mode: bridged, where the bridge has one MTU for all',
    ],
    [
      'mode: bridged, bridgeInterface: en0, dhcp: false',
      'dhcp: false is not with mode: bridged, where vmnet runs no DHCP server',
    ],
    ['mac: "01:00:00:00:00:01"', 'mac: "01:00:00:00:00:01" is not the MAC address of a station'],
    ['mtu: 60', 'mtu: 60 is not a whole number from 68 to 65521'],
    ['mtu: 9000', "mtu: 9000 makes frames of 9014 bytes, and the port's maxFrameSize is 1518"],
    ['enableTso: true', "enableTso: true makes frames of 65550 bytes, and the port's maxFrameSize is 1518"],
    [
      'dhcpStart: 192.168.70.1',
      'dhcpEnd: missing, must be given together with dhcpStart',
      'subnetMask: missing, must be given together with dhcpStart',
    ],
    [
      'dhcpEnd: 192.168.70.9, subnetMask: 255.255.255.0',
      'dhcpStart: missing, must be given together with dhcpEnd and subnetMask',
    ],
    [range.replace('70.254', '70.300'), 'dhcpEnd: "192.168.70.300" is not an IPv4 address'],
    [
      range.replace('255.255.255.0', '255.0.255.0'),
      'subnetMask: "255.0.255.0" is not a netmask from 255.0.0.0 to 255.255.255.252',
    ],
    [
      'dhcpStart: 8.8.8.1, dhcpEnd: 8.8.8.9, subnetMask: 255.255.255.0',
      'dhcpStart: "8.8.8.1" is not private: vmnet takes 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 only',
      'dhcpEnd: "8.8.8.9" is not private: vmnet takes 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 only',
    ],
    [range.replace('70.1,', '70.0,'), `dhcpStart: "192.168.70.0" is the subnet's own or its broadcast address`],
    [range.replace('70.254', '70.255'), `dhcpEnd: "192.168.70.255" is the subnet's own or its broadcast address`],
    [
      range.replace('70.254', '71.9'),
      'dhcpEnd: "192.168.71.9" is not in the subnet of dhcpStart, which is 192.168.70.1/24',
    ],
    [
      range.replace('70.1,', '70.9,').replace('70.254', '70.9'),
      'dhcpEnd: "192.168.70.9" is not behind dhcpStart, which is 192.168.70.9',
    ],
    ['interfaceId: 42', 'interfaceId: 42 is not a UUID'],
    ['interfaceId: "42"', 'interfaceId: "42" is not a UUID'],
    [`networkId: ${uuid}`, `networkId: "${uuid}" is only with mode: host`],
    [
      'mode: host, hostAddress: 10.9.0.1',
      'hostAddress: "10.9.0.1" is not an IPv4 address with its prefix length, such as "10.9.0.1/24"',
      'networkId: missing, must be given together with hostAddress',
    ],
    [
      `mode: host, networkId: ${uuid}, ${range}`,
      ...['dhcpStart: "192.168.70.1"', 'dhcpEnd: "192.168.70.254"', 'subnetMask: "255.255.255.0"'].map(
        start => `${start} is not together with networkId: such a network has no DHCP`,
      ),
    ],
    [
      'nat66Prefix: "2001:db8::"',
      'nat66Prefix: "2001:db8::" is not a unique local prefix of 64 bits such as "fd12:3456:789a:1::"',
    ],
    [
      'nat66Prefix: "fd00::1"',
      'nat66Prefix: "fd00::1" is not a unique local prefix of 64 bits such as "fd12:3456:789a:1::"',
    ],
    ['mode: host, nat66Prefix: "fd00::"', 'nat66Prefix: "fd00::" is only with mode: shared'],
    ['mode: host, externalInterface: en0', 'externalInterface: "en0" is only with mode: shared'],
    [
      'reservations: [{ mac: "02:00:00:00:00:02", address: 192.168.70.10 }]',
      'reservations[0].address: "192.168.70.10" is without meaning while vmnet chooses the subnet: give dhcpStart, dhcpEnd and subnetMask',
    ],
    [
      `${range}, reservations: [{ mac: "02:00:00:00:00:02", address: 192.168.70.1 }]`,
      'reservations[0].address: "192.168.70.1" is not behind dhcpStart (192.168.70.1) and up to dhcpEnd (192.168.70.254)',
    ],
    [
      `${range}, reservations: [{ mac: "02:00:00:00:00:02", address: 192.168.70.2 }, { mac: "02-00-00-00-00-02", address: 192.168.70.2 }]`,
      'reservations[1].mac: "02:00:00:00:00:02" is taken by reservations[0].mac',
      'reservations[1].address: "192.168.70.2" is taken by reservations[0].address',
    ],
    [
      `dhcp: false, interfaceId: ${uuid}`,
      `interfaceId: "${uuid}" is not together with dhcp: vmnet knows it in its older calls only`,
    ],
    [
      'dhcp: false, api: classic',
      'api: "classic" is not together with dhcp, which only the network objects of macOS 26 have',
    ],
    [
      'mode: host, forwards: [{ host: "0.0.0.0:22", guest: "10.0.0.2:22" }]',
      'forwards[0]: only with mode: shared, this is host',
    ],
    [
      'forwards: [{ host: "127.0.0.1:22", guest: "10.0.0.2:22" }]',
      'forwards[0]: "127.0.0.1:22" is not "0.0.0.0:PORT" or "[::]:PORT": vmnet forwards from every address of the Mac',
    ],
    [
      'forwards: [{ host: "0.0.0.0:22", guest: "[fd00::2]:22" }]',
      'forwards[0]: "[fd00::2]:22" is of another IP version than "0.0.0.0:22"',
    ],
  ]

  for (const [options, ...expected] of wrong) {
    it(options, () => assert.deepEqual(lines(options), expected))
  }
})
