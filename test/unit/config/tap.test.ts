import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TapConfig } from '#src/config/interfaces/tap.js'
import { effectiveInterface, interfaceClaims } from '#src/config/interfaces.js'
import { complaints, load as loadText } from './load-text.js'

const text = (options: string) => `interfaces: [{ name: host, type: tap, ${options} }]`
const load = (options: string) => loadText(text(options)).interfaces[0] as TapConfig
const lines = (options: string) => complaints(text(options)).map(line => line.replace(/^interfaces\[0\]\.?/, ''))

describe('a TAP', () => {
  it('in mode host needs nothing more', () => {
    const { mode, device, address, dhcp, mac, mtu, persistent, netns } = load('mode: host')
    assert.deepEqual(
      { mode, device, address, dhcp, mac, mtu, persistent, netns },
      {
        ...{ mode: 'host', device: 'tap%d', address: null, dhcp: null },
        ...{ mac: null, mtu: null, persistent: false, netns: null },
      },
    )
  })

  it('in mode shared gives out the addresses on the longer side of its own', () => {
    const rangeOf = (address: string) => {
      const { start, end } = load(`mode: shared, address: ${address}`).dhcp ?? assert.fail()
      return `${start}-${end}`
    }
    assert.equal(rangeOf('10.9.0.1/24'), '10.9.0.2-10.9.0.254')
    assert.equal(rangeOf('10.9.0.254/24'), '10.9.0.1-10.9.0.253')
    assert.equal(rangeOf('10.9.0.1/30'), '10.9.0.2-10.9.0.2')
    assert.equal(load('mode: shared, address: 10.9.0.1/24, dhcp: false').dhcp, null)
  })

  it('takes no frame that its MTU leaves no room for', () => {
    assert.equal(load('mode: host').port.maxFrameSize, 1518)
    assert.equal(load('mode: host, mtu: 1400').port.maxFrameSize, 1418)
    assert.equal(load('mode: host, mtu: 1400, port: { maxFrameSize: 1000 }').port.maxFrameSize, 1000)
  })

  it('is claimed by name, where it has one, and by address', () => {
    assert.deepEqual(interfaceClaims(load('mode: host')), [])
    assert.deepEqual(interfaceClaims(load('mode: host, device: tap7, netns: lab, address: 10.9.0.1/24')), [
      'device:tap7 in lab',
      'address:10.9.0.1/24 in lab',
    ])
  })

  it('is written back as it would be in a file', () => {
    for (const options of [
      'mode: host',
      'mode: host, device: tap3, address: 10.9.0.1/24, dhcp: { start: 10.9.0.9 }, mac: 02-00-00-00-00-0A, mtu: 1400',
      'mode: shared, address: 10.9.0.1/24, netns: lab, dhcp: { dns: [9.9.9.9] }',
      'mode: shared, address: 10.9.0.1/24, dhcp: false, persistent: true, owner: 1000',
      'mode: bridged, bridge: br0, createBridge: true',
    ]) {
      const config = load(options)
      const again = loadText(JSON.stringify({ interfaces: [effectiveInterface(config)] })).interfaces[0]
      assert.deepEqual(again, config)
    }
  })
})

describe('a TAP that is refused', () => {
  const cases: [what: string, options: string, ...lines: string[]][] = [
    ['without a mode', 'device: tap0', 'mode: missing, must be one of "host", "shared", "bridged"'],
    ['in an unknown mode', 'mode: nat', 'mode: "nat" is not one of "host", "shared", "bridged"'],
    [
      'shared without an address',
      'mode: shared',
      'address: missing, must be an IPv4 address with its prefix length, such as 10.9.0.1/24',
    ],
    [
      'with an address without its length',
      'mode: host, address: 10.9.0.1',
      'address: "10.9.0.1" is not an IPv4 address with its prefix length, such as 10.9.0.1/24',
    ],
    [
      "with the network's address",
      'mode: host, address: 10.9.0.0/24',
      'address: "10.9.0.0/24" is the address of the network itself, not of a host in it',
    ],
    [
      'with the broadcast address',
      'mode: host, address: 10.9.0.255/24',
      'address: "10.9.0.255/24" is the network\'s broadcast address, not that of a host',
    ],
    [
      'with no room',
      'mode: shared, address: 10.9.0.1/31',
      'address: "10.9.0.1/31" leaves no room for guests: the prefix length is 8 to 30',
    ],
    [
      'on loopback',
      'mode: host, address: 127.0.0.5/8',
      'address: "127.0.0.5/8" is not an address for a network of hosts',
    ],
    [
      'with a range outside of the network',
      'mode: shared, address: 10.9.0.1/24, dhcp: { start: 10.9.1.2, end: 10.9.1.9 }',
      'dhcp.start: "10.9.1.2" is not an address for a guest of 10.9.0.1/24',
      'dhcp.end: "10.9.1.9" is not an address for a guest of 10.9.0.1/24',
    ],
    [
      'with a range that is upside down',
      'mode: shared, address: 10.9.0.1/24, dhcp: { start: 10.9.0.20, end: 10.9.0.10 }',
      'dhcp.start: "10.9.0.20" is beyond the end, "10.9.0.10"',
    ],
    [
      "with the host's address in the range",
      'mode: shared, address: 10.9.0.5/24, dhcp: { start: 10.9.0.2, end: 10.9.0.10 }',
      "dhcp: from 10.9.0.2 to 10.9.0.10 is also 10.9.0.5, the host's own address",
    ],
    ['with DHCP and no address', 'mode: host, dhcp: {}', 'dhcp: needs an address'],
    [
      'with DNS in mode host',
      'mode: host, address: 10.9.0.1/24, dhcp: { dns: [9.9.9.9] }',
      'dhcp.dns: only with mode: shared',
    ],
    [
      'with an address in mode bridged',
      'mode: bridged, bridge: br0, address: 10.9.0.1/24',
      'address: not with mode: bridged; give the address to the bridge',
    ],
    ['with a bridge in mode host', 'mode: host, bridge: br0', 'bridge: only with mode: bridged'],
    [
      'with a name that is too long',
      'mode: host, device: tap0123456789012',
      'device: "tap0123456789012" is not the name of a network interface: letters, digits, "_", "." and "-", at most 15, beginning with a letter; "%d" stands for the first free number',
    ],
    [
      'with the address of a group',
      'mode: host, mac: "01:00:00:00:00:01"',
      'mac: "01:00:00:00:00:01" is not the address of one station: it is a group address or all zeros',
    ],
    [
      'with an MTU the switch has no frames for',
      'mode: host, mtu: 9000',
      'mtu: 9000 makes frames of 9014 bytes, and switch.maxFrameSize is 1518',
    ],
    ['with an owner and no permanence', 'mode: host, owner: 1000', 'owner: only with persistent: true'],
    [
      'in a namespace with a path',
      'mode: host, netns: ../x',
      'netns: "../x" is not the name of a network namespace, as ip netns shows it',
    ],
  ]
  for (const [what, options, ...expected] of cases) {
    it(what, () => assert.deepEqual(lines(options), expected))
  }
})
