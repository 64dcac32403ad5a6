/** VXLAN with Linux's own at the other ends: two of them, each in a namespace, over IPv4 and over IPv6. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { PortView, TransportView } from '#src/control/view.js'
import { eventually } from '../support/eventually.js'
import { Fabric } from '../support/fabric.js'
import { BROADCAST, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { netnsNeeds } from '../support/netns.js'
import type { RawPeer } from '../support/raw-peer.js'
import { allOf, requirements } from '../support/requires.js'
import { getJson, runIn } from '../support/run-in.js'
import { Station } from '../support/station.js'
import type { SwitchProcess } from '../support/switch-process.js'

const GUEST = '02:00:00:00:00:0a'
const guestIp = '192.168.77.1'
const remoteIps = ['192.168.77.2', '192.168.77.3'] as const
const needs = requirements(allOf(netnsNeeds, { commands: ['bridge', 'ping', 'busybox'] }))

for (const [family, mtu] of [
  [4, 1450],
  [6, 1430],
] as const) {
  describe(`vxlan over IPv${family} with two Linux remotes`, { ...needs, timeout: 120_000 }, () => {
    let fabric: Fabric
    let lab: Lab
    let running: SwitchProcess
    let peer: RawPeer
    let guest: Station

    before(async () => {
      fabric = Fabric.make({ remotes: 2, family })
      for (const [i, ip] of remoteIps.entries()) fabric.joinLinux(i, 42, `${ip}/24`)
      lab = await Lab.open()
      running = await lab.startSwitch(
        {
          transports: [
            { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
            {
              name: 'fabric',
              type: 'vxlan',
              vni: 42,
              listen: fabric.hostAddress,
              remotes: remoteIps.map((_, i) => fabric.addressOf(i)),
            },
          ],
        },
        { through: ['ip', 'netns', 'exec', fabric.host.name] },
      )
      peer = lab.qemu('vm.sock', 'vms.sock')
      guest = new Station(peer, GUEST, guestIp)
      await guest.announce()
    })

    after(async () => {
      await lab?.close()
      fabric?.remove()
    })

    const api = <Value>(path: string) => getJson<Value>(fabric.host, running.url + path)
    const port = async (name: string) => {
      const { ports } = await api<{ ports: PortView[] }>('/v1/ports')
      return ports.find(each => each.name === name) as PortView
    }
    const remote = (i: number) => fabric.remotes[i] as Fabric['host']
    const received = () => [0, 1].map(i => fabric.counter(i, 'vxlan42', 'rx_packets'))
    const macOfRemote = (i: number) => remote(i).run('cat', '/sys/class/net/vxlan42/address').trim()

    /** The remote pings, and the guest answers. */
    async function pingFrom(i: number, ...options: string[]): Promise<string> {
      const serving = guest.serve(60_000)
      const { output } = await runIn(remote(i), 'ping', '-n', '-c', '3', '-i', '0.2', '-w', '20', ...options, guestIp)
      guest.stopServing()
      await serving
      return output
    }

    it('is pinged from both, and pings both', async () => {
      for (const i of [0, 1]) {
        assert.match(await pingFrom(i), /3 received, 0% packet loss/)
        const mac = await guest.resolve(remoteIps[i] as string)
        assert.equal(mac, macOfRemote(i))
        await guest.ping(mac, remoteIps[i] as string, 7 + i)
      }
    })

    it('is where Linux learned the guest to be', () => {
      for (const i of [0, 1]) {
        const entries = remote(i).run('bridge', 'fdb', 'show', 'dev', 'vxlan42')
        assert.match(entries, new RegExp(`^${GUEST} dst ${fabric.hostAddress}\\b`, 'm'))
      }
    })

    it('sends broadcast and unknown unicast to both, known unicast to one', async () => {
      for (const [to, wanted] of [
        [BROADCAST, [1, 1]],
        ['02:00:00:00:99:99', [1, 1]],
        [macOfRemote(0), [1, 0]],
        [macOfRemote(1), [0, 1]],
      ] as const) {
        const before = received()
        // Five of them, so that what a remote may say of its own accord is not taken for them.
        await peer.send(Array.from({ length: 5 }, () => frame(to, GUEST, 200)))
        await eventually(
          async () => received().map((count, i) => Math.floor((count - (before[i] as number)) / 5)),
          counts => JSON.stringify(counts) === JSON.stringify(wanted),
          `five frames to ${to} at ${wanted}`,
        )
      }
    })

    it('sends nothing on from one remote to the other', async () => {
      const before = (await port('fabric')).counters.transmitFrames
      const { output } = await runIn(remote(0), 'ping', '-n', '-c', '3', '-i', '0.2', '-w', '20', remoteIps[1])
      assert.match(output, /3 received, 0% packet loss/)
      assert.doesNotMatch(output, /DUP/)
      assert.equal((await port('fabric')).counters.transmitFrames, before)
    })

    it(`carries packets of ${mtu} bytes and not one more, and says so`, async () => {
      const largest = mtu - 28
      assert.match(await pingFrom(0, '-M', 'do', '-s', String(largest)), /3 received, 0% packet loss/)
      const to = macOfRemote(0)
      const before = received()[0] as number
      const { oversize } = (await port('fabric')).counters.transmitDrops
      await peer.send([frame(to, GUEST, mtu + 14), frame(to, GUEST, mtu + 15), frame(to, GUEST, 60)])
      await eventually(
        async () => (received()[0] as number) - before,
        count => count === 2,
        'the other two come through',
      )
      assert.equal((await port('fabric')).counters.transmitDrops.oversize, oversize + 1)

      const { transports } = await api<{ transports: TransportView[] }>('/v1/transports')
      const facts = transports.find(({ name }) => name === 'fabric')?.facts
      assert.deepEqual([facts?.guestMtu, facts?.pathMtu], [mtu, 1500])
      assert.ok(running.log.some(line => line.msg.includes(`need an MTU of at most ${mtu}`)))
    })

    it('counts networks that are not its own', async () => {
      const drops = async () => {
        const { transports } = await api<{ transports: TransportView[] }>('/v1/transports')
        return transports.find(({ name }) => name === 'fabric')?.drops as unknown as Record<string, number>
      }
      fabric.joinLinux(0, 43, '192.168.78.2/24')
      const before = (await drops())['unknown-vni'] ?? 0
      await runIn(remote(0), 'ping', '-n', '-c', '1', '-W', '1', '192.168.78.9')
      await eventually(
        async () => (await drops())['unknown-vni'] ?? 0,
        count => count > before,
        'they are counted',
      )
    })
  })
}
