import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { GuestLimits } from '#src/slirp/guest-limits.js'
import { RecordedFindings } from '../../support/recorded-findings.js'
import { slirpConfig } from '../../support/slirp-config.js'

const none = { sockets: 0, forwarded: 0, refusedGuest: 0, connections: 0, 'dhcp-pool': 0 }

function watched() {
  const findings = new RecordedFindings()
  let counts = none
  const limits = new GuestLimits(slirpConfig({ maxConnections: 100 }), () => counts, findings)
  const look = (now: Partial<typeof none>) => {
    counts = { ...none, ...now }
    limits.look()
  }
  return { findings, look }
}

describe('what guests are refused', () => {
  it('is nothing to tell while nothing is', () => {
    const { findings, look } = watched()
    look({ sockets: 80, forwarded: 99 })
    assert.equal(findings.now.size, 0)
  })

  it('names the guest that has its share of connections, each time that more were refused', () => {
    const { findings, look } = watched()
    const refused = { sockets: 80, refusedGuest: 0x525400000001, connections: 5 }
    look(refused)
    look(refused)
    look({ ...refused, connections: 6 })
    assert.match(
      findings.now.get('slirp-connections-full') as string,
      /^guest 52:54:00:00:00:01 .* 80 of maxConnections, 100\); raise/,
    )
    assert.equal(findings.raises.get('slirp-connections-full'), 2)
  })

  it('begins anew with a new stack', () => {
    const { findings, look } = watched()
    look({ connections: 5 })
    look({})
    look({ connections: 1 })
    assert.equal(findings.raises.get('slirp-connections-full'), 2)
  })

  it('is said of forwards that have all they may have', () => {
    const { findings, look } = watched()
    look({ forwarded: 100 })
    assert.match(findings.now.get('slirp-connections-full') as string, /^100 connections have come in through forwards/)
  })

  it('is said of addresses, with the way out', () => {
    const { findings, look } = watched()
    look({ 'dhcp-pool': 1 })
    assert.match(
      findings.now.get('dhcp-pool-full') as string,
      /all 16 from 10\.0\.2\.15 to 10\.0\.2\.30 .*fixed MAC addresses$/,
    )
  })
})
