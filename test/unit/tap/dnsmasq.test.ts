import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { PrivateFolder } from '#src/os/private-folder.js'
import { type DnsmasqMachine, type DnsmasqOptions, dnsmasqArguments, setprivArguments } from '#src/tap/dnsmasq.js'
import { requirements } from '../../support/requires.js'

const options: DnsmasqOptions = {
  ...{ device: 'tap0', netns: null, address: '10.9.0.1', prefixLength: 24, start: '10.9.0.2', end: '10.9.0.254' },
  ...{ leaseSeconds: 3600, dns: null, shared: true, mtu: 1500, records: new PrivateFolder('/run/x'), leaseFile: 'x' },
}
const machine: DnsmasqMachine = { ignoresClientId: true, hasResolvConf: true }
const has = (args: readonly string[], ...wanted: string[]) => wanted.filter(each => !args.includes(each))

describe('the arguments of dnsmasq', () => {
  it('bind it to the TAP alone and keep the system out', () => {
    const args = dnsmasqArguments(options, machine)
    const wanted = [
      '--interface=tap0',
      '--except-interface=lo',
      '--bind-interfaces',
      '--conf-file=/dev/null',
      '--no-hosts',
    ]
    assert.deepEqual(has(args, '--keep-in-foreground', ...wanted), [])
  })

  it('give out the range, and the host as router', () => {
    const args = dnsmasqArguments(options, machine)
    assert.deepEqual(
      has(args, '--dhcp-range=10.9.0.2,10.9.0.254,255.255.255.0,3600', '--dhcp-option=option:router,10.9.0.1'),
      [],
    )
  })

  it('tell the MTU where it is not what everybody takes for granted', () => {
    assert.ok(!dnsmasqArguments(options, machine).some(arg => arg.includes('option:mtu')))
    assert.deepEqual(
      has(dnsmasqArguments({ ...options, mtu: 1400 }, machine), '--dhcp-option-force=option:mtu,1400'),
      [],
    )
  })

  it('ask the servers that are configured, and only those', () => {
    const args = dnsmasqArguments({ ...options, dns: ['9.9.9.9', '2620:fe::fe'] }, machine)
    assert.deepEqual(has(args, '--no-resolv', '--server=9.9.9.9', '--server=2620:fe::fe'), [])
    assert.ok(!dnsmasqArguments(options, machine).includes('--no-resolv'))
  })

  it('ask no server where the host names none, and leave out what an older dnsmasq does not know', () => {
    const args = dnsmasqArguments(options, { ignoresClientId: false, hasResolvConf: false })
    assert.ok(args.includes('--no-resolv'))
    assert.ok(!args.includes('--dhcp-ignore-clid'))
  })

  it('name neither router nor DNS server, and serve no DNS, where the host is all there is', () => {
    const args = dnsmasqArguments({ ...options, shared: false }, machine)
    assert.deepEqual(has(args, '--port=0', '--dhcp-option=option:router', '--dhcp-option=option:dns-server'), [])
  })

  it('are what dnsmasq understands', requirements({ commands: ['dnsmasq'] }), () => {
    for (const each of [options, { ...options, shared: false, mtu: 1400, dns: ['9.9.9.9'] }]) {
      execFileSync('dnsmasq', ['--test', ...dnsmasqArguments(each, machine)], { stdio: 'pipe' })
    }
  })
})

describe('the arguments of setpriv', () => {
  it('make it another user with three capabilities, that dies with its parent', () => {
    const args = setprivArguments({ uid: 108, gid: 65534 }).join(' ')
    assert.match(args, /--reuid 108 --regid 65534 --clear-groups/)
    assert.match(args, /--bounding-set -all,\+net_admin,\+net_raw,\+net_bind_service/)
    assert.match(args, /--no-new-privs --pdeathsig KILL$/)
  })

  it('change nothing but that where we are not root', () => {
    assert.deepEqual(setprivArguments(null), ['--no-new-privs', '--pdeathsig', 'KILL'])
  })
})
