import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { UdpConfig } from '#src/config/config.js'
import { effectiveTransport } from '#src/config/transports.js'
import { complaints, load } from './load-text.js'

const udp = (options: string) => `transports: [{ name: u, type: udp, ${options} }]`
const loaded = (options: string) => load(udp(options)).transports[0] as UdpConfig
const wrong = (options: string) => complaints(udp(options))
const many = (count: number, address: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => `"${address(i)}"`).join(', ')

describe('a udp transport', () => {
  it('has peers, by address or by name', () => {
    const config = loaded('listen: "127.0.0.1:7000", peers: ["127.0.0.1:7001", "Peer.Example:7001"]')
    assert.ok(config.role === 'peers')
    assert.deepEqual(
      [config.listen, config.peers, config.learnPeers, config.fragment],
      ['127.0.0.1:7000', ['127.0.0.1:7001', 'peer.example:7001'], false, false],
    )
  })

  it('learns peers from the addresses that are allowed', () => {
    const config = loaded('listen: "[::]:7000", learnPeers: true, allowedSources: ["fd00::/8", "::1"]')
    assert.ok(config.role === 'peers')
    assert.deepEqual(
      [config.learnPeers, config.allowedSources, config.maxPeers, config.peerTimeoutSeconds],
      [true, ['fd00::/8', '::1'], 64, 300],
    )
  })

  it('is one of a multicast group', () => {
    const config = loaded('group: "230.0.0.1:1234", interface: eth0')
    assert.ok(config.role === 'group')
    assert.deepEqual([config.group, config.interface, config.ttl, config.loop], ['230.0.0.1:1234', 'eth0', 1, true])
  })

  it('writes addresses in their usual form', () => {
    const config = loaded('listen: "[0:0::1]:7000", peers: ["[FE80:0::1%eth0]:7001"]')
    assert.ok(config.role === 'peers')
    assert.deepEqual([config.listen, config.peers], ['[::1]:7000', ['[fe80::1%eth0]:7001']])
  })

  it('is the same when what it became is written down and read again', () => {
    for (const options of [
      'listen: "127.0.0.1:7000", peers: ["127.0.0.1:7001"], port: { fdb: { static: ["02:00:00:00:00:01"] } }',
      'listen: "127.0.0.1:7000", learnPeers: true, allowedSources: ["127.0.0.0/8"], fragment: true',
      'group: "[ff02::1234]:7000", interface: lo, ttl: 0, loop: false',
    ]) {
      const config = loaded(options)
      const again = load(JSON.stringify({ transports: [effectiveTransport(config)] })).transports[0]
      assert.deepEqual(again, config)
    }
  })

  const cases: readonly [title: string, options: string, ...lines: string[]][] = [
    ['nobody to send to', 'listen: "127.0.0.1:7000"', 'peers: empty; without learnPeers there must be one at least'],
    [
      'anybody as a peer',
      'listen: "127.0.0.1:7000", learnPeers: true',
      'allowedSources: empty; learnPeers needs the addresses that may become peers',
    ],
    [
      'allowed sources that are not asked',
      'listen: "127.0.0.1:7000", peers: ["127.0.0.1:7001"], allowedSources: ["10.0.0.0/8"]',
      'allowedSources: only with learnPeers',
    ],
    [
      'a prefix with bits beyond its length',
      'listen: "127.0.0.1:7000", learnPeers: true, allowedSources: ["10.0.0.1/8"]',
      'allowedSources[0]: "10.0.0.1/8" is not an IP address or a prefix whose other bits are zero',
    ],
    [
      'the other IP version',
      'listen: "127.0.0.1:7000", learnPeers: true, peers: ["[::1]:7001"], allowedSources: ["::1"]',
      'peers[0]: "[::1]:7001" is not of the IP version of listen',
      'allowedSources[0]: "::1" is not of the IP version of listen',
    ],
    [
      'itself as a peer',
      'listen: "127.0.0.1:7000", peers: ["127.0.0.1:7000"]',
      'peers[0]: "127.0.0.1:7000" is this socket\'s own address; that is a loop',
    ],
    [
      'the same peer twice',
      'listen: "127.0.0.1:7000", peers: ["127.0.0.1:7001", "127.0.0.1:7001"]',
      'peers[1]: "127.0.0.1:7001" is there already, as transports[0].peers[0]',
    ],
    [
      'a name to listen on',
      'listen: "localhost:7000", peers: ["127.0.0.1:7001"]',
      'listen: "localhost:7000" is not an IP address of this machine and a port',
    ],
    [
      'no port',
      'listen: "127.0.0.1", peers: ["127.0.0.1"]',
      'listen: "127.0.0.1" is not an IP address of this machine and a port',
      'peers[0]: "127.0.0.1" is not an IP address or a name and a port',
    ],
    [
      'a mistyped address',
      'listen: "127.0.0.1:7000", peers: ["127.0.0.256:7001", "a_b..c:1", "x:70000"]',
      'peers[0]: "127.0.0.256:7001" is not an IP address or a name and a port',
      'peers[1]: "a_b..c:1" is not an IP address or a name and a port',
      'peers[2]: "x:70000" is not an IP address or a name and a port',
    ],
    [
      'a group that is none',
      'group: "10.0.0.1:7000"',
      'group: "10.0.0.1:7000" is not a multicast address (224.0.0.0/4 or ff00::/8) and a port',
    ],
    [
      'a group as a peer',
      'listen: "127.0.0.1:7000", peers: ["230.0.0.1:1"]',
      'peers[0]: "230.0.0.1:1" is not the address of one peer',
    ],
    ['a group and peers', 'group: "230.0.0.1:7000", peers: ["127.0.0.1:7001"]', 'peers: only with listen'],
    [
      'fixed addresses of many ports',
      'listen: "127.0.0.1:7000", peers: ["127.0.0.1:1", "127.0.0.1:2"], port: { fdb: { static: ["02:00:00:00:00:01"] } }',
      'port.fdb.static: only where a transport has one port: with one peer and without learnPeers, or with group',
    ],
    [
      'more peers than there may be',
      `listen: "127.0.0.1:7000", peers: [${many(1001, i => `127.0.0.1:${i + 1}`)}]`,
      'peers: 1001 entries, at most 1000 allowed',
    ],
  ]
  for (const [title, options, ...lines] of cases) {
    it(`is refused with ${title}`, () => {
      assert.deepEqual(
        wrong(options),
        lines.map(line => `transports[0].${line}`),
      )
    })
  }

  it('has a socket of its own', () => {
    const text = `transports: [{ name: a, type: udp, listen: "127.0.0.1:7000", peers: ["127.0.0.1:1"] },
      { name: b, type: udp, listen: "127.0.0.1:7000", peers: ["127.0.0.1:2"] }]`
    assert.deepEqual(complaints(text), ['transports[1]: udp:127.0.0.1:7000 is taken by transports[0]'])
  })

  it('takes as many places for ports as it has peers', () => {
    const text = `switch: { maxPorts: 2 }\n${udp('listen: "127.0.0.1:7000", peers: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]')}`
    assert.deepEqual(complaints(text), [
      'switch.maxPorts: 2 is less than the 3 ports that interfaces and transports have from the start',
    ])
  })
})
