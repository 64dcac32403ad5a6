/**
 * Two kinds of client that no other switch serves together: QEMU's dgram netdev, which sends to a path and hears
 * whoever answers, and vfkit's, which connects, says VFKT, and hears only the socket it connected to. The vfkit clients
 * are raw peers that speak ARP and ICMP by hand; QEMU runs a VM.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { Lab } from '../support/lab.js'
import type { RawPeer } from '../support/raw-peer.js'
import { requirements } from '../support/requires.js'
import { Station } from '../support/station.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'

const vmMac = '52:54:00:00:00:0a'
const vmIp = '10.9.0.1'
const first = { mac: '5a:94:ef:00:00:01', ip: '10.9.0.51' }
const second = { mac: '5a:94:ef:00:00:02', ip: '10.9.0.52' }

const shapes = {
  many: {
    transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }],
    paths: { qemu: 'vms.sock', first: 'vms.sock', second: 'vms.sock' },
  },
  one: {
    transports: ['a', 'b', 'c'].map(name => ({ name, type: 'unixgram', listen: `${name}.sock`, peers: 'one' })),
    paths: { qemu: 'a.sock', first: 'b.sock', second: 'c.sock' },
  },
}

for (const peers of ['many', 'one'] as const) {
  const { transports, paths } = shapes[peers]

  describe(`vfkit clients and a QEMU VM, peers: ${peers}`, { ...requirements(vmNeeds), timeout: 120_000 }, () => {
    let lab: Lab
    let running: SwitchProcess
    let vm: Vm
    let firstPeer: RawPeer
    let firstStation: Station
    let secondStation: Station

    /** vfkit binds a path of its own invention. */
    const plugIn = (listen: string) => lab.vfkit(`vfkit-${randomBytes(4).toString('hex')}.sock`, listen)

    before(async () => {
      lab = await Lab.open()
      running = await lab.startSwitch({ transports })
      const netdevArgs = dgramNetdev({ local: lab.path('qemu.sock'), remote: lab.path(paths.qemu) })
      vm = await Vm.start({ name: 'vm', mac: vmMac, ip: `${vmIp}/24`, netdevArgs })
      lab.onClose(() => vm.stop())
    })

    after(() => lab.close())

    it('a client reaches the VM, and the VM reaches it', async () => {
      firstPeer = plugIn(paths.first)
      firstStation = new Station(firstPeer, first.mac, first.ip)
      await bothWays(firstStation, first.ip)
    })

    it('so does a second client', async () => {
      secondStation = new Station(plugIn(paths.second), second.mac, second.ip)
      await bothWays(secondStation, second.ip)
    })

    it('the clients reach each other', async () => {
      const served = firstStation.serve()
      try {
        assert.equal(await secondStation.resolve(first.ip), first.mac)
        for (let i = 0; i < 3; i++) await secondStation.ping(first.mac, first.ip, i)
      } finally {
        firstStation.stopServing()
      }
      assert.equal(await served, 3)
    })

    it('each has a port of its own', async () => {
      const { api } = running
      const byMac = new Map((await api.fdb()).map(({ mac, portId }) => [mac, portId]))
      assert.equal(byMac.get(vmMac), (await api.portOf(lab.path('qemu.sock'))).id)
      assert.equal(byMac.get(first.mac), (await api.portOf(firstPeer.path as string)).id)
      assert.equal(new Set([vmMac, first.mac, second.mac].map(mac => byMac.get(mac))).size, 3)
      const handshakes = (await api.transports()).reduce((sum, { drops }) => sum + drops.handshake, 0)
      assert.equal(handshakes, 2)
    })

    it('a client that is killed is followed by another on another path', async () => {
      const { api } = running
      const killed = await api.portOf(firstPeer.path as string)
      firstPeer.close()
      const successor = new Station(plugIn(paths.first), first.mac, first.ip)
      await bothWays(successor, first.ip)
      await api.portWhen(
        killed.id,
        port => (peers === 'one' ? port.up && port.peer !== killed.peer : !port.up),
        'the port of the client that was killed',
      )
      await bothWays(secondStation, second.ip)
    })

    async function bothWays(station: Station, address: string): Promise<void> {
      await station.announce()
      const mac = await station.resolve(vmIp)
      assert.equal(mac, vmMac)
      for (let i = 0; i < 5; i++) await station.ping(mac, vmIp, i)
      const served = station.serve()
      try {
        assert.match(await vm.sh(`ping -c 3 -i 0.2 -w 10 ${address}`), / 0% packet loss/)
      } finally {
        station.stopServing()
      }
      assert.equal(await served, 3)
    }
  })
}
