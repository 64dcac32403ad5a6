/** A TAP that cannot be opened: one sentence that says why, exit code 1, and nothing left behind. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, afterEach, before, describe, it } from 'node:test'
import { Lab } from '../support/lab.js'
import { Netns, netnsNeeds } from '../support/netns.js'
import { allOf, findCommand, requirements } from '../support/requires.js'
import { SwitchProcess, type SwitchProcessOptions } from '../support/switch-process.js'
import { until } from '../support/until.js'

const nobody = 65_534
const needs = requirements(allOf(netnsNeeds, { commands: ['dnsmasq', 'unshare', 'mount'] }))

describe('a TAP that cannot be opened', { ...needs, timeout: 120_000 }, () => {
  let host: Netns
  let lab: Lab
  let untouched: string[]

  before(async () => {
    host = Netns.make()
    lab = await Lab.open()
    lab.onClose(async () => host.remove())
    host.ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1')
    host.ip('address', 'add', '192.0.2.1/24', 'dev', 'eth0')
    host.ip('link', 'set', 'eth0', 'up')
    untouched = host.state()
  })

  afterEach(() => host.assertStill(untouched))
  after(() => lab.close())

  async function refused(tap: object, reason: string | RegExp, options: SwitchProcessOptions = {}): Promise<void> {
    const config = { interfaces: [{ name: 'up', type: 'tap', mode: 'host', ...tap }], http: false }
    const inside = ['ip', 'netns', 'exec', host.name, ...(options.through ?? [])]
    const { code, errors } = await SwitchProcess.refused(lab.folder, config, { ...options, through: inside })
    const messages = errors.filter(({ level }) => level === 'error').map(({ msg }) => msg)
    assert.equal(messages.length, 1, messages.join('\n'))
    const [, said] = /^interface "up": (.*)$/s.exec(messages[0] as string) ?? []
    if (typeof reason === 'string') assert.equal(said, reason)
    else assert.match(said ?? messages.join(), reason)
    assert.equal(code, 1)
    assert.deepEqual(readdirSync(lab.folder), ['switch.yaml'])
  }

  /** The switch with a program taken away, as if it were not installed. */
  function without(program: string): SwitchProcessOptions {
    const path = findCommand(program) as string
    return { through: ['unshare', '--mount', 'sh', '-c', `mount --bind /dev/null ${path} && exec "$@"`, 'sh'] }
  }

  const shared = { mode: 'shared', address: '10.9.0.1/24' }

  it('for want of ip', () =>
    refused(
      { address: '10.9.0.1/24' },
      'mode: host needs the program "ip", which is not installed: apt install iproute2 (Debian), dnf install iproute (Fedora)',
      without('ip'),
    ))

  it('for want of nft', () =>
    refused(
      shared,
      'mode: shared needs the program "nft", which is not installed: apt install nftables (Debian), dnf install nftables (Fedora)',
      without('nft'),
    ))

  it('for want of dnsmasq', () =>
    refused(
      shared,
      'mode: shared needs the program "dnsmasq", which is not installed: apt install dnsmasq-base (Debian), dnf install dnsmasq (Fedora)',
      without('dnsmasq'),
    ))

  it('because the bridge is missing, or is none', async () => {
    await refused(
      { mode: 'bridged', bridge: 'br0' },
      'bridge: "br0" does not exist; make it (ip link add name br0 type bridge), or set createBridge: true',
    )
    await refused({ mode: 'bridged', bridge: 'eth0' }, 'bridge: "eth0" is not a bridge')
  })

  it('because the address is taken, or its network overlaps another', async () => {
    await refused({ address: '192.0.2.1/24' }, 'address: "192.0.2.1/24" is taken by eth0, which has 192.0.2.1/24')
    await refused(
      { ...shared, address: '192.0.2.129/25' },
      'address: "192.0.2.129/25" overlaps the network of eth0, which has 192.0.2.1/24',
    )
  })

  it('because the device is in use, or is no TAP', async t => {
    const other = await lab.startSwitch(
      { interfaces: [{ name: 'other', type: 'tap', mode: 'host', device: 'tap5', netns: host.name }], http: false },
      { env: {} },
    )
    t.after(() => other.stop())
    const config = { name: 'up', type: 'tap', mode: 'host', device: 'tap5', netns: host.name }
    const { code, errors } = await SwitchProcess.refused(lab.folder, { interfaces: [config], http: false })
    assert.equal(code, 1)
    assert.match(
      errors.map(({ msg }) => msg).join('\n'),
      /^interface "up": device: "tap5" is in use by another program$/m,
    )
    await other.stop()
    await refused({ device: 'eth0' }, 'device: "eth0" exists and is not a TAP with one queue (ip tuntap show)')
  })

  it('because the namespace is missing', () =>
    refused(
      { netns: 'tsw-nowhere' },
      'netns: "tsw-nowhere" is not a network namespace of this machine; make it with: ip netns add tsw-nowhere',
    ))

  it('because DHCP is served by another program', async t => {
    const other = host.spawn(
      'dnsmasq',
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--pid-file=',
      '--user=root',
      '--no-resolv',
    )
    t.after(() => other.kill('SIGKILL'))
    await until(() => host.run('ss', '-lun').includes(':53 '), 'a DNS server')
    await refused(
      shared,
      /^dhcp: dnsmasq does not start: failed to create listening socket for 10\.9\.0\.1: Address already in use$/,
    )
  })

  it('because it would be made without root', async () => {
    const folder = lab.folder
    const through = ['sh', '-c', `chown ${nobody} ${folder}; exec setpriv --reuid ${nobody} --clear-groups "$@"`, 'sh']
    await refused(
      { device: 'tap0' },
      `device: "tap0" cannot be made without root (CAP_NET_ADMIN); as root, make one for this user: ip tuntap add dev tap0 mode tap user ${nobody}`,
      { through },
    )
  })
})
