/**
 * One VM on each transport, all on one network, every pair pinging. A VM cannot speak WebSocket or VXLAN itself: those
 * are links to further switches, each with a VM of its own.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import { freePort } from '../support/slirp-guest.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { freeUdpPort } from '../support/udp-peer.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'

const names = ['unixgram', 'stream-unix', 'stream-tcp', 'stream-dialled', 'udp', 'websocket', 'vxlan'] as const
const ipOf = (i: number) => `10.9.0.${i + 1}`
const vms = { name: 'vms', type: 'unixgram', listen: 'vms.sock' }

describe('a VM on every transport', { ...requirements(vmNeeds), timeout: 300_000 }, () => {
  const labs: Lab[] = []
  let middle: SwitchProcess
  let guests: Vm[] = []

  async function lab(): Promise<Lab> {
    const opened = await Lab.open()
    labs.push(opened)
    return opened
  }

  before(async () => {
    const [main, overWeb, overVxlan] = [await lab(), await lab(), await lab()]
    const [tcp, web] = [await freePort(), await freePort()]
    const [udp, vmUdp, vxlan] = [freeUdpPort(), freeUdpPort(), freeUdpPort()]
    middle = await main.startSwitch({
      transports: [
        vms,
        { name: 'stream', type: 'stream', listen: 'stream.sock' },
        { name: 'tcp', type: 'stream', listen: `127.0.0.1:${tcp}` },
        { name: 'dialled', type: 'stream', connect: 'served.sock' },
        { name: 'udp', type: 'udp', listen: `127.0.0.1:${udp}`, peers: [`127.0.0.1:${vmUdp}`] },
        { name: 'web', type: 'websocket', listen: `127.0.0.1:${web}/ethernet` },
        { name: 'fabric', type: 'vxlan', vni: 7, listen: `127.0.0.2:${vxlan}`, remotes: ['127.0.0.3'] },
      ],
    })
    await overWeb.startSwitch({
      transports: [vms, { name: 'link', type: 'websocket', connect: `ws://127.0.0.1:${web}/ethernet` }],
    })
    await overVxlan.startSwitch({
      transports: [
        vms,
        { name: 'fabric', type: 'vxlan', vni: 7, listen: `127.0.0.3:${vxlan}`, remotes: ['127.0.0.2'] },
      ],
    })
    const dgram = (from: Lab) =>
      dgramNetdev({ local: from.path('vm.qemu'), remote: from.path('vms.sock') })[1] as string
    const inet = (end: string, port: number) => `${end}.type=inet,${end}.host=127.0.0.1,${end}.port=${port}`
    const netdevs: Record<(typeof names)[number], string> = {
      unixgram: dgram(main),
      'stream-unix': `stream,id=net0,server=off,addr.type=unix,addr.path=${main.path('stream.sock')}`,
      'stream-tcp': `stream,id=net0,server=off,addr.type=inet,addr.host=127.0.0.1,addr.port=${tcp}`,
      'stream-dialled': `stream,id=net0,server=on,addr.type=unix,addr.path=${main.path('served.sock')}`,
      udp: `dgram,id=net0,${inet('local', vmUdp)},${inet('remote', udp)}`,
      websocket: dgram(overWeb),
      vxlan: dgram(overVxlan),
    }
    guests = await Vm.startAll(
      names.map((name, i) => ({
        name,
        mac: `52:54:00:00:01:0${i + 1}`,
        ip: `${ipOf(i)}/24`,
        // What fits through VXLAN on a path of 1500 bytes.
        mtu: 1450,
        memoryMb: 96,
        netdevArgs: ['-netdev', netdevs[name]],
      })),
    )
    main.onClose(() => Promise.all(guests.map(vm => vm.stop())))
  })

  after(() => Promise.all(labs.map(each => each.close())))

  it('pings every other', async () => {
    // Whoever has not spoken yet is unknown to a transport that learns its peers, and the dialled one may still be
    // being dialled.
    for (const vm of guests) await vm.run(`ping -c 1 -w 1 ${ipOf(99)}`)
    const failed: string[] = []
    await Promise.all(
      guests.map(async (vm, i) => {
        for (const [j, name] of names.entries()) {
          if (i === j) continue
          const { output } = await vm.run(`ping -c 1 -w 40 ${ipOf(j)}`, { timeoutMs: 60_000 })
          if (!/ 1 packets received/.test(output)) failed.push(`${vm.name} to ${name}: ${output}`)
        }
      }),
    )
    assert.deepEqual(failed, [])
  })

  it('is behind the port of its transport', async () => {
    const fdb = await middle.api.fdb()
    const ports = guests.map((_, i) => fdb.find(({ mac }) => mac === `52:54:00:00:01:0${i + 1}`)?.port)
    assert.deepEqual(ports, ['vms:1', 'stream:1', 'tcp:1', 'dialled', 'udp', 'web:1', 'fabric'])
  })

  it('has lost nothing on the way', async () => {
    const lost = (await middle.api.ports()).flatMap(({ name, counters }) =>
      Object.entries({
        ...counters.transmitDrops,
        runt: counters.receiveDrops.runt,
        oversize: counters.receiveDrops.oversize,
      })
        // Before a peer is there, what is flooded to it has nowhere to go.
        .filter(([reason, count]) => count > 0 && reason !== 'peer-gone')
        .map(([reason, count]) => `${name}: ${count} ${reason}`),
    )
    assert.deepEqual(lost, [])
  })
})
