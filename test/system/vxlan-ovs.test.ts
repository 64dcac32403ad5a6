/** Open vSwitch as a VXLAN remote, joined by the commands that docs/vxlan.md gives. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../support/eventually.js'
import { Fabric } from '../support/fabric.js'
import { frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { netnsNeeds } from '../support/netns.js'
import { OpenVswitch, ovsNeeds } from '../support/ovs.js'
import type { RawPeer } from '../support/raw-peer.js'
import { allOf, requirements } from '../support/requires.js'
import { runIn } from '../support/run-in.js'
import { Station } from '../support/station.js'

const needs = requirements(allOf(netnsNeeds, ovsNeeds, { commands: ['ping'] }))

describe('vxlan with Open vSwitch as the remote', { ...needs, timeout: 120_000 }, () => {
  let fabric: Fabric
  let lab: Lab
  let ovs: OpenVswitch
  let peer: RawPeer
  let guest: Station

  before(async () => {
    fabric = Fabric.make({ remotes: 1 })
    // The userspace datapath reads frames before anybody has filled in the checksum that a veth leaves to hardware.
    fabric.host.run('ethtool', '-K', 'under', 'tx', 'off')
    const [netns] = fabric.remotes as [Fabric['host']]
    lab = await Lab.open()
    ovs = await OpenVswitch.start(netns)
    ovs.vsctl(...'add-br br-phy -- set bridge br-phy datapath_type=netdev -- add-port br-phy eth0'.split(' '))
    netns.ip('address', 'del', '10.77.0.2/24', 'dev', 'eth0')
    netns.ip('address', 'add', '10.77.0.2/24', 'dev', 'br-phy')
    netns.ip('link', 'set', 'br-phy', 'up')
    const tunnel = 'add-port br-int vx0 -- set interface vx0 type=vxlan options:remote_ip=10.77.0.1 options:key=42'
    ovs.vsctl(...`add-br br-int -- set bridge br-int datapath_type=netdev -- ${tunnel}`.split(' '))
    netns.ip('address', 'add', '192.168.77.2/24', 'dev', 'br-int')
    netns.ip('link', 'set', 'br-int', 'mtu', '1450', 'up')
    await lab.startSwitch(
      {
        transports: [
          { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
          { name: 'fabric', type: 'vxlan', vni: 42, listen: '10.77.0.1', remotes: ['10.77.0.2'] },
        ],
      },
      { through: ['ip', 'netns', 'exec', fabric.host.name] },
    )
    peer = lab.qemu('vm.sock', 'vms.sock')
    guest = new Station(peer, '02:00:00:00:00:0a', '192.168.77.1')
    await guest.announce()
  })

  after(async () => {
    await lab?.close()
    await ovs?.stop()
    fabric?.remove()
  })

  it('pings the host behind it', async () => {
    // What Open vSwitch has to send before it knows the underlay's neighbours, it drops.
    const ask = () => guest.resolve('192.168.77.2', 1000).catch(() => '')
    const mac = await eventually(ask, answer => answer !== '', 'the host answers', 30_000)
    for (let sequence = 1; sequence <= 3; sequence++) await guest.ping(mac, '192.168.77.2', sequence, 20_000)
  })

  it('is pinged from there, with packets as large as the path allows', async () => {
    const [netns] = fabric.remotes as [Fabric['host']]
    const serving = guest.serve(60_000)
    const { output } = await runIn(netns, 'ping', ...'-n -c 3 -i 0.2 -w 20 -M do -s 1422 192.168.77.1'.split(' '))
    guest.stopServing()
    await serving
    assert.match(output, /3 received, 0% packet loss/)
  })

  it('gets every frame of a run, although the way out computes no checksums for joined ones', async () => {
    const mac = (fabric.remotes[0] as Fabric['host']).run('cat', '/sys/class/net/br-int/address').trim()
    const before = fabric.counter(0, 'br-int', 'rx_packets')
    await peer.send(Array.from({ length: 200 }, () => frame(mac, '02:00:00:00:00:0a', 200)))
    const received = () => fabric.counter(0, 'br-int', 'rx_packets') - before
    await eventually(received, count => count >= 200, 'all are there', 20_000)
  })

  it('is a station of its bridge', () => {
    assert.match(ovs.appctl('fdb/show', 'br-int'), /02:00:00:00:00:0a/)
  })
})
