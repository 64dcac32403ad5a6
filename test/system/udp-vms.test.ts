/** VMs over UDP in each of QEMU's four ways, all on one switch: dgram and socket, unicast and multicast. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { freeUdpPort } from '../support/udp-peer.js'
import { Vm, vmNeeds } from '../support/vm.js'

const names = ['dgram', 'socket', 'dgram-group', 'socket-group'] as const
const ips = ['10.9.0.1', '10.9.0.2', '10.9.0.3', '10.9.0.4'] as const

describe('VMs over UDP', { ...requirements(vmNeeds), timeout: 240_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let vms: Vm[] = []

  before(async () => {
    lab = await Lab.open()
    const [mine, learning, dgram, socket, group] = Array.from({ length: 5 }, () => freeUdpPort()) as [
      number,
      number,
      number,
      number,
      number,
    ]
    const multicast = `239.255.77.7:${group}`
    running = await lab.startSwitch({
      transports: [
        { name: 'fixed', type: 'udp', listen: `127.0.0.1:${mine}`, peers: [`127.0.0.1:${dgram}`] },
        {
          name: 'learned',
          type: 'udp',
          listen: `127.0.0.1:${learning}`,
          learnPeers: true,
          allowedSources: ['127.0.0.1'],
        },
        { name: 'group', type: 'udp', group: multicast, interface: 'lo' },
      ],
    })
    const inet = (end: string, port: number) => `${end}.type=inet,${end}.host=127.0.0.1,${end}.port=${port}`
    const toGroup = `remote.type=inet,remote.host=239.255.77.7,remote.port=${group}`
    // Multicast without an address of its own would look for a route to the group.
    const netdevs = [
      `dgram,id=net0,${inet('local', dgram)},${inet('remote', mine)}`,
      `socket,id=net0,udp=127.0.0.1:${learning},localaddr=127.0.0.1:${socket}`,
      `dgram,id=net0,${toGroup},local.type=inet,local.host=127.0.0.1,local.port=0`,
      `socket,id=net0,mcast=${multicast},localaddr=127.0.0.1`,
    ]
    vms = await Vm.startAll(
      netdevs.map((netdev, i) => ({
        name: names[i] as string,
        mac: `52:54:00:00:00:0${i + 1}`,
        ip: `${ips[i]}/24`,
        netdevArgs: ['-netdev', netdev],
      })),
    )
    lab.onClose(() => Promise.all(vms.map(vm => vm.stop())))
  })

  after(() => lab?.close())

  it('ping each other, every pair', async () => {
    // The learned one is known once it has spoken.
    await vms[1]?.sh(`ping -c 1 -w 20 ${ips[0]}`)
    for (const [i, vm] of vms.entries()) {
      for (const [j, ip] of ips.entries()) {
        if (i === j) continue
        const output = await vm.sh(`ping -c 3 -i 0.2 -w 30 ${ip}`, { timeoutMs: 40_000 })
        assert.match(output, /[1-9] packets received/, `${names[i]} to ${names[j]}`)
      }
    }
  })

  it('are on three ports, the two of the group on one', async () => {
    const fdb = await running.api.fdb()
    const portOf = (i: number) => fdb.find(({ mac }) => mac === `52:54:00:00:00:0${i + 1}`)?.port
    assert.deepEqual(
      names.map((_, i) => portOf(i)),
      ['fixed', 'learned:1', 'group', 'group'],
    )
    const { drops } = await running.api.transport('group')
    assert.ok(((drops as Record<string, number>).own as number) > 0, 'what came back from the group is counted')
    const ports = await running.api.ports()
    assert.deepEqual(
      ports.map(({ counters }) => counters.transmitDrops.error),
      [0, 0, 0],
    )
  })

  it('carry frames of full size', async () => {
    for (const ip of ips.slice(1)) {
      const output = await vms[0]?.sh(`ping -c 3 -i 0.2 -s 1472 -w 30 ${ip}`, { timeoutMs: 40_000 })
      assert.match(String(output), /[1-9] packets received/)
    }
  })
})
