/**
 * A TAP in mode bridged: a port of a bridge that is there, or of one that the switch makes. Behind the bridge is
 * another namespace.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Lab } from '../support/lab.js'
import { Netns, netnsNeeds } from '../support/netns.js'
import { allOf, requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'
import { startWebServer } from '../support/web-server.js'

describe('a TAP in mode bridged', { ...requirements(allOf(netnsNeeds, vmNeeds)), timeout: 180_000 }, () => {
  let host: Netns
  let lan: Netns
  let lab: Lab
  let running: SwitchProcess
  let vm: Vm
  let untouched: string[]

  const config = (more: object = {}) => ({
    interfaces: [
      {
        name: 'lan',
        type: 'tap',
        mode: 'bridged',
        device: 'tap%d',
        bridge: 'br0',
        netns: host.name,
        mtu: 1500,
        ...more,
      },
    ],
    transports: [{ name: 'vm', type: 'unixgram', listen: 'vm.sock', peers: 'one' }],
  })

  before(async () => {
    // With IPv6, so that a kernel that has something to say through the TAP would say it.
    host = Netns.make({ ipv6: true })
    lan = Netns.make()
    lab = await Lab.open()
    lab.onClose(async () => {
      host.remove()
      lan.remove()
    })
    host.ip('link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0')
    host.ip('link', 'set', 'br0', 'addrgenmode', 'none', 'up')
    host.cable('cable', lan, 'eth0')
    host.ip('link', 'set', 'cable', 'addrgenmode', 'none', 'master', 'br0')
    lan.ip('address', 'add', '10.9.0.1/24', 'dev', 'eth0')
    await settled(host)
    untouched = host.state()
    running = await lab.startSwitch(config())
    const netdevArgs = dgramNetdev({ local: lab.path('vm.qemu'), remote: lab.path('vm.sock') })
    vm = await Vm.start({ name: 'guest', mac: '52:54:00:00:00:01', ip: '10.9.0.2/24', netdevArgs })
    lab.onClose(() => vm.stop())
  })

  after(() => lab.close())

  it('is a port of the bridge', () => {
    assert.match(host.ip('link', 'show', 'master', 'br0'), /^\d+: tap0: /m)
  })

  it('carries pings and TCP between the VM and the network behind the bridge', async t => {
    assert.match(await vm.sh('ping -c 5 -i 0.1 -w 10 10.9.0.1'), / 0% packet loss/)
    const web = await startWebServer(lan, '10.9.0.1', 80, 2_000_000)
    t.after(() => web.stop())
    assert.equal((await vm.sh(`wget -q -O - ${web.url} | sha256sum`)).slice(0, 64), web.sha256)
  })

  it('says nothing itself', () => {
    const [link] = JSON.parse(host.ip('-json', '-6', 'address', 'show', 'tap0') || '[]') as { ifname?: string }[]
    assert.equal(link?.ifname, undefined)
  })

  it('leaves everything as it was, and the bridge alone', async () => {
    await running.stop()
    await host.assertStill(untouched)
  })

  it('makes the bridge where it is missing, and removes it', async () => {
    running = await lab.startSwitch(config({ bridge: 'br7', createBridge: true }))
    host.ip('link', 'set', 'cable', 'master', 'br7')
    await vm.sh('until ping -c 1 -W 1 10.9.0.1; do sleep 0.2; done')
    host.ip('link', 'set', 'cable', 'master', 'br0')
    await running.stop()
    await settled(host)
    await host.assertStill(untouched)
  })

  it('removes the bridge it made at the next start when it was killed', async () => {
    running = await lab.startSwitch(config({ bridge: 'br7', createBridge: true }))
    await running.kill9()
    assert.match(host.ip('link', 'show', 'br7'), /br7/)
    running = await lab.startSwitch(config())
    assert.doesNotMatch(host.ip('link', 'show'), /br7/)
    await running.stop()
    await host.assertStill(untouched)
  })

  it('shares a bridge it made between two TAPs, and keeps it while others have joined it', async () => {
    const [first] = config({ bridge: 'br7', createBridge: true }).interfaces
    const second = { ...first, name: 'lan2' }
    const third = { ...first, name: 'lan3' }
    running = await lab.startSwitch({ interfaces: [first, second] })
    assert.equal(host.ip('link', 'show', 'master', 'br7').match(/^\d+: /gm)?.length, 2)
    await running.reload({ http: { listen: '127.0.0.1:0' }, interfaces: [second] })
    assert.equal(host.ip('link', 'show', 'master', 'br7').match(/^\d+: /gm)?.length, 1)
    await running.stop()
    await host.assertStill(untouched)

    running = await lab.startSwitch({ interfaces: [third] })
    host.ip('link', 'set', 'cable', 'master', 'br7')
    await running.stop()
    assert.ok(running.log.some(({ err }) => /br7 stays: others have joined it \(cable\)/.test(String(err))))
    host.ip('link', 'delete', 'br7')
    host.ip('link', 'set', 'cable', 'master', 'br0')
    await settled(host)
    await host.assertStill(untouched)
  })
})

/** A port that was moved listens for a moment; until then its state differs. */
async function settled(netns: Netns): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (
      /state forwarding/.test(netns.ip('-details', 'link', 'show', 'cable')) &&
      !netns.state().some(line => line.includes('tentative'))
    )
      return
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  throw new Error('the cable does not forward')
}
