/**
 * An EVPN fabric (FRR) that the switch joins as a static VTEP, by the commands that docs/vxlan.md gives: two VTEPs that
 * find each other by BGP, and the switch, which speaks no BGP, in the flood list of both.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../support/eventually.js'
import { Fabric } from '../support/fabric.js'
import { Frr, frrNeeds } from '../support/frr.js'
import { Lab } from '../support/lab.js'
import { type Netns, netnsNeeds } from '../support/netns.js'
import { allOf, requirements } from '../support/requires.js'
import { runIn } from '../support/run-in.js'
import { Station } from '../support/station.js'

const needs = requirements(allOf(netnsNeeds, frrNeeds, { commands: ['bridge', 'ping'] }))

const bgp = (self: number, other: number) => `
router bgp 65000
 bgp router-id 10.77.0.${self}
 no bgp default ipv4-unicast
 neighbor 10.77.0.${other} remote-as 65000
 neighbor 10.77.0.${other} timers connect 1
 address-family l2vpn evpn
  neighbor 10.77.0.${other} activate
  advertise-all-vni
 exit-address-family
`

describe('vxlan in an EVPN fabric of FRR', { ...needs, timeout: 180_000 }, () => {
  let fabric: Fabric
  let lab: Lab
  const routers: Frr[] = []
  let guest: Station

  before(async () => {
    fabric = Fabric.make({ remotes: 2 })
    for (const [i, netns] of fabric.remotes.entries()) {
      const local = fabric.addressOf(i)
      netns.ip('link', 'add', 'br42', 'type', 'bridge')
      netns.ip(...`link add vxlan42 type vxlan id 42 dstport 4789 local ${local} nolearning`.split(' '))
      netns.ip('link', 'set', 'vxlan42', 'master', 'br42', 'up')
      netns.ip('link', 'set', 'br42', 'mtu', '1450', 'up')
      netns.ip('address', 'add', `192.168.77.${i + 2}/24`, 'dev', 'br42')
      routers.push(await Frr.start(netns, bgp(i + 2, 3 - i)))
    }
    lab = await Lab.open()
    await lab.startSwitch(
      {
        transports: [
          { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
          { name: 'fabric', type: 'vxlan', vni: 42, listen: '10.77.0.1', remotes: ['10.77.0.2', '10.77.0.3'] },
        ],
      },
      { through: ['ip', 'netns', 'exec', fabric.host.name] },
    )
    guest = new Station(lab.qemu('vm.sock', 'vms.sock'), '02:00:00:00:00:0a', '192.168.77.1')
  })

  after(async () => {
    await lab?.close()
    for (const router of routers) await router.stop()
    fabric?.remove()
  })

  const floodList = (netns: Netns) =>
    [...netns.run('bridge', 'fdb', 'show', 'dev', 'vxlan42').matchAll(/^00:00:00:00:00:00 dst (\S+)/gm)].map(
      match => match[1] as string,
    )

  it('lets the VTEPs find each other by BGP', async () => {
    for (const [i, netns] of fabric.remotes.entries()) {
      const other = fabric.addressOf(1 - i)
      await eventually(
        () => floodList(netns),
        list => list.includes(other),
        `a route to ${other}`,
        60_000,
      )
    }
    assert.match((routers[0] as Frr).show('show evpn vni 42'), /10\.77\.0\.3 flood: HER/)
  })

  it('takes the switch into the flood list of each, beside what BGP put there', async () => {
    for (const netns of fabric.remotes) {
      netns.run('bridge', ...'fdb append 00:00:00:00:00:00 dev vxlan42 dst 10.77.0.1'.split(' '))
    }
    assert.deepEqual(
      fabric.remotes.map(netns => floodList(netns).sort()),
      [
        ['10.77.0.1', '10.77.0.3'],
        ['10.77.0.1', '10.77.0.2'],
      ],
    )
    await guest.announce()
    for (const ip of ['192.168.77.2', '192.168.77.3']) {
      const mac = await guest.resolve(ip, 10_000)
      for (let sequence = 1; sequence <= 3; sequence++) await guest.ping(mac, ip, sequence, 10_000)
    }
  })

  it('answers the hosts of the fabric, and leaves their own traffic alone', async () => {
    const [first] = fabric.remotes as [Netns]
    const serving = guest.serve(60_000)
    const toGuest = await runIn(first, 'ping', ...'-n -c 3 -i 0.2 -w 20 192.168.77.1'.split(' '))
    guest.stopServing()
    await serving
    assert.match(toGuest.output, /3 received, 0% packet loss/)
    const between = await runIn(first, 'ping', ...'-n -c 3 -i 0.2 -w 20 192.168.77.3'.split(' '))
    assert.match(between.output, /3 received, 0% packet loss/)
    assert.doesNotMatch(between.output, /DUP/)
  })
})
