/** A persistent TAP that belongs to a user, and a switch that this user runs. */
import assert from 'node:assert/strict'
import { chownSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { arpFor } from '../support/arp.js'
import { descendants, isGone } from '../support/descendants.js'
import { Lab } from '../support/lab.js'
import { Netns, netnsNeeds } from '../support/netns.js'
import { projectRoot } from '../support/project-root.js'
import { allOf, requirements } from '../support/requires.js'
import { SwitchProcess, type SwitchProcessOptions } from '../support/switch-process.js'

const nobody = 65_534

describe('a TAP without root', {
  ...requirements(allOf(netnsNeeds, { commands: ['dnsmasq'] })),
  timeout: 120_000,
}, () => {
  let host: Netns
  let lab: Lab
  let asNobody: SwitchProcessOptions
  const tap = { name: 'up', type: 'tap', mode: 'host', device: 'tap0' }
  const transports = [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }]

  before(async () => {
    host = Netns.make()
    lab = await Lab.open()
    lab.onClose(async () => host.remove())
    chownSync(lab.folder, nobody, nobody)
    const user = ['setpriv', '--reuid', String(nobody), '--regid', String(nobody), '--clear-groups']
    asNobody = { through: ['ip', 'netns', 'exec', host.name, ...user] }
  })

  after(() => lab.close())

  async function answersArp(): Promise<void> {
    const station = lab.qemu('station', 'vms.sock')
    // A peer that the switch may not write to cannot be answered.
    chownSync(lab.path('station'), nobody, nobody)
    const mac = host.run('cat', '/sys/class/net/tap0/address').trim()
    assert.equal(await arpFor(station, '10.9.0.9', '10.9.0.1'), mac)
    station.close()
    rmSync(lab.path('station'), { force: true })
  }

  it('attaches to one that ip made for this user, and leaves it as it was', async () => {
    host.ip('tuntap', 'add', 'dev', 'tap0', 'mode', 'tap', 'user', String(nobody))
    host.ip('address', 'add', '10.9.0.1/24', 'dev', 'tap0')
    host.ip('link', 'set', 'tap0', 'up')
    const untouched = host.state()
    const running = await lab.startSwitch({ interfaces: [{ ...tap, address: '10.9.0.1/24' }], transports }, asNobody)
    await answersArp()
    await running.stop()
    await host.assertStill(untouched)
  })

  it('says what it may not change', async () => {
    const untouched = host.state()
    const refusal = async (more: object) => {
      const config = { interfaces: [{ ...tap, ...more }], http: false }
      const { code, errors } = await SwitchProcess.refused(lab.folder, config, asNobody)
      assert.equal(code, 1)
      return errors.at(-1)?.msg
    }
    assert.equal(
      await refusal({ mtu: 1400 }),
      'interface "up": mtu: 1400 is not what "tap0" has, and changing it needs root (CAP_NET_ADMIN)',
    )
    assert.equal(
      await refusal({ address: '10.9.1.1/24' }),
      'interface "up": ip address add 10.9.1.1/24 brd + dev tap0 needs root (CAP_NET_ADMIN)',
    )
    await host.assertStill(untouched)
    host.ip('link', 'delete', 'tap0')
  })

  it('attaches to one that a switch of root made for this user, and left', async () => {
    const untouched = host.state()
    const made = { ...tap, address: '10.9.0.1/24', mtu: 1400, persistent: true, owner: nobody, netns: host.name }
    chownSync(lab.folder, 0, 0)
    const first = await lab.startSwitch({ interfaces: [made] })
    await first.stop()
    assert.match(host.ip('-details', 'link', 'show', 'tap0'), /mtu 1400 .*persist on .*user nobody/s)

    chownSync(lab.folder, nobody, nobody)
    const second = await lab.startSwitch(
      { interfaces: [{ ...tap, address: '10.9.0.1/24', mtu: 1400 }], transports },
      asNobody,
    )
    await answersArp()
    await second.stop()
    host.ip('link', 'delete', 'tap0')
    await host.assertStill(untouched)
  })

  it('gets back what root changed on one that was there, when the switch ends and when it was killed', async () => {
    host.ip('tuntap', 'add', 'dev', 'tap0', 'mode', 'tap', 'user', String(nobody))
    // Its first time up gives it a queueing discipline for good.
    host.ip('link', 'set', 'tap0', 'up')
    host.ip('link', 'set', 'tap0', 'down')
    const untouched = host.state()
    const changed = { ...tap, address: '10.9.0.1/24', mtu: 1400, mac: '02:00:00:00:00:42', netns: host.name }
    chownSync(lab.folder, 0, 0)
    const first = await lab.startSwitch({ interfaces: [changed] })
    await first.stop()
    await host.assertStill(untouched)
    const second = await lab.startSwitch({ interfaces: [changed] })
    await second.kill9()
    assert.notDeepEqual(host.changes(untouched), [])
    const third = await lab.startSwitch({ interfaces: [{ ...tap, device: 'other0', netns: host.name }] })
    await third.stop()
    await host.assertStill(untouched)
  })

  it('makes one with NAT and DHCP with the capabilities of the drop-in for systemd, and takes all of it back', async () => {
    chownSync(lab.folder, nobody, nobody)
    const unit = readFileSync(join(projectRoot, 'config/tapswitch-tap.conf'), 'utf8')
    const capabilities = /^AmbientCapabilities=(.*)$/m.exec(unit)?.[1]?.split(' ') ?? []
    const list = ['-all', ...capabilities.map(name => `+${name.replace('CAP_', '').toLowerCase()}`)].join()
    const untouched = host.state()
    const sets = ['--inh-caps', list, '--ambient-caps', list, '--bounding-set', list]
    const through = [...(asNobody.through as string[]), ...sets]
    const nat = { name: 'up', type: 'tap', mode: 'shared', device: 'tap1', address: '10.9.2.1/24' }
    const running = await lab.startSwitch({ interfaces: [nat] }, { through })
    const [dnsmasq] = descendants(running.pid, 'dnsmasq')
    assert.match(host.run('nft', 'list', 'tables'), /tapswitch_tap1/)
    assert.deepEqual(await running.stop(), { code: 0, signal: null })
    assert.ok(dnsmasq !== undefined && isGone(dnsmasq))
    await host.assertStill(untouched)
  })
})
