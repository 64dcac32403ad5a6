import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { natRules, tableName } from '#src/tap/nat.js'
import { parseIpv4Interface } from '#src/wire/ipv4-network.js'
import { requirements } from '../../support/requires.js'

const network = parseIpv4Interface('10.9.0.1/24') ?? assert.fail()
const rules = natRules('tap0', network, 'made by a test')
const chain = (name: string) =>
  new RegExp(`chain ${name} \\{\\n([^}]*)\\}`)
    .exec(rules)?.[1]
    ?.trim()
    .split('\n')
    .map(line => line.trim())

describe('the packet filter of mode: shared', () => {
  it('is one table, named after the device, in the place of one of that name', () => {
    assert.equal(tableName('tap0'), 'tapswitch_tap0')
    assert.deepEqual(rules.split('\n').slice(0, 4), [
      'add table inet tapswitch_tap0',
      'delete table inet tapswitch_tap0',
      'table inet tapswitch_tap0 {',
      '  comment "made by a test"',
    ])
    assert.equal(rules.match(/table inet/g)?.length, 3)
  })

  it("puts the host's address on what guests send to the world", () => {
    assert.deepEqual(chain('postrouting')?.slice(1), ['ip saddr 10.9.0.0/24 oifname != "tap0" masquerade'])
  })

  it('forwards what guests send from their network, and the answers', () => {
    assert.deepEqual(chain('forward')?.slice(1), [
      'iifname "tap0" ip saddr 10.9.0.0/24 accept',
      'iifname "tap0" drop',
      'oifname "tap0" ct state established,related accept',
      'oifname "tap0" drop',
    ])
  })

  it("takes nothing for loopback and nothing with a forged source from a guest, but a guest's first question", () => {
    assert.deepEqual(chain('input')?.slice(1), [
      'iifname "tap0" ip daddr 127.0.0.0/8 drop',
      'iifname "tap0" ip saddr 10.9.0.0/24 accept',
      'iifname "tap0" ip saddr 0.0.0.0 udp dport 67 accept',
      'iifname "tap0" meta nfproto ipv4 drop',
    ])
  })

  it(
    'is what nft understands, with every character a device may have',
    requirements({ commands: ['nft'], root: true }),
    () => {
      execFileSync('nft', ['--check', '-f', '-'], { input: natRules('Tap-0_x.y', network, 'a, b') })
    },
  )
})
