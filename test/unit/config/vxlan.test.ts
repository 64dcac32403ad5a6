import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { VxlanConfig } from '#src/config/config.js'
import { effectiveTransport } from '#src/config/transports.js'
import { complaints, load } from './load-text.js'

const vxlan = (options: string) => `transports: [{ name: f, type: vxlan, ${options} }]`
const loaded = (options: string) => load(vxlan(options)).transports[0] as VxlanConfig

describe('a vxlan transport', () => {
  it('has the port of RFC 7348 where none is given, and remotes the port of listen', () => {
    const config = loaded('vni: 42, listen: "10.0.0.1", remotes: ["10.0.0.2", "10.0.0.3:8472", "vtep.example"]')
    assert.deepEqual(
      [config.listen, config.remotes, config.sourcePorts, config.ageingSeconds, config.fragment],
      ['10.0.0.1:4789', ['10.0.0.2:4789', '10.0.0.3:8472', 'vtep.example:4789'], 8, 300, false],
    )
    assert.deepEqual(loaded('vni: 1, listen: "10.0.0.1:8472", remotes: ["10.0.0.2"]').remotes, ['10.0.0.2:8472'])
    assert.deepEqual(loaded('vni: 1, listen: "2001:db8::1", remotes: ["2001:db8::2"]').remotes, ['[2001:db8::2]:4789'])
  })

  it('ages with the switch', () => {
    const text = `switch: { fdb: { ageingSeconds: 60 } }\n${vxlan('vni: 1, listen: "10.0.0.1", remotes: ["10.0.0.2"]')}`
    assert.equal((load(text).transports[0] as VxlanConfig).ageingSeconds, 60)
  })

  it('is the same when what it became is written down and read again', () => {
    for (const options of [
      'vni: 42, listen: "10.0.0.1", remotes: ["10.0.0.2"], port: { fdb: { static: ["02:00:00:00:00:01"] } }',
      'vni: 0, listen: "[::]:4789", learnRemotes: true, allowedSources: ["fd00::/8"], sourcePorts: 0',
    ]) {
      const config = loaded(options)
      assert.deepEqual(load(JSON.stringify({ transports: [effectiveTransport(config)] })).transports[0], config)
    }
  })

  const cases: readonly [title: string, options: string, ...lines: string[]][] = [
    [
      'a VNI of more than 24 bits',
      'vni: 16777216, listen: "10.0.0.1", remotes: ["10.0.0.2"]',
      'vni: 16777216 is not a whole number from 0 to 16777215',
    ],
    ['no remote', 'vni: 1, listen: "10.0.0.1"', 'remotes: empty; without learnRemotes there must be one at least'],
    [
      'any remote',
      'vni: 1, listen: "10.0.0.1", learnRemotes: true',
      'allowedSources: empty; learnRemotes needs the addresses that may become remotes',
    ],
    [
      'one remote at two ports',
      'vni: 1, listen: "10.0.0.1", remotes: ["10.0.0.2", "10.0.0.2:8472"]',
      'remotes[1]: "10.0.0.2" is there already, as transports[0].remotes[0]',
    ],
    [
      'itself as a remote',
      'vni: 1, listen: "10.0.0.1", remotes: ["10.0.0.1"]',
      'remotes[0]: "10.0.0.1" is this socket\'s own address; that is a loop',
    ],
    [
      'port 0',
      'vni: 1, listen: "10.0.0.1:0", remotes: ["10.0.0.2:1"]',
      'listen: port 0 is no port that remotes could send to',
    ],
    [
      'a name to listen on',
      'vni: 1, listen: vtep, remotes: ["10.0.0.2"]',
      'listen: "vtep" is not an IP address of this machine with or without a port',
    ],
  ]
  for (const [title, options, ...lines] of cases) {
    it(`is refused with ${title}`, () => {
      assert.deepEqual(
        complaints(vxlan(options)),
        lines.map(line => `transports[0].${line}`),
      )
    })
  }

  it('shares a socket with other networks, not with itself', () => {
    const two = (
      vni: number,
    ) => `transports: [{ name: a, type: vxlan, vni: 1, listen: "10.0.0.1", remotes: ["10.0.0.2"] },
      { name: b, type: vxlan, vni: ${vni}, listen: "10.0.0.1", remotes: ["10.0.0.2"] }]`
    assert.deepEqual(complaints(two(2)), [])
    assert.deepEqual(complaints(two(1)), ['transports[1]: vxlan:10.0.0.1:4789:1 is taken by transports[0]'])
  })
})
