/** Two switches linked by VXLAN, and by UDP: guests of one and of the other ping each other. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import { Station } from '../support/station.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { freeUdpPort } from '../support/udp-peer.js'

// Linux has all of 127.0.0.0/8; macOS would need an alias for the second address.
const needs = requirements({ platform: 'linux' })
const macs = ['02:00:00:00:00:0a', '02:00:00:00:00:0b'] as const
const ips = ['10.9.0.1', '10.9.0.2'] as const

type Link = (self: number, other: number, port: number) => object
const links: Record<string, Link> = {
  vxlan: (self, other, port) => ({
    type: 'vxlan',
    vni: 42,
    listen: `127.0.0.${self}:${port}`,
    remotes: [`127.0.0.${other}`],
  }),
  udp: (self, other, port) => ({ type: 'udp', listen: `127.0.0.${self}:${port}`, peers: [`127.0.0.${other}:${port}`] }),
}

for (const [kind, link] of Object.entries(links)) {
  describe(`two switches linked by ${kind}`, { ...needs, timeout: 60_000 }, () => {
    const labs: Lab[] = []
    const switches: SwitchProcess[] = []
    const stations: Station[] = []

    before(async () => {
      const port = freeUdpPort()
      for (const i of [0, 1]) {
        const lab = await Lab.open()
        labs.push(lab)
        const vms = { name: 'vms', type: 'unixgram', listen: 'vms.sock' }
        const transports = [vms, { name: 'link', ...link(i + 2, 3 - i, port) }]
        switches.push(await lab.startSwitch({ transports }))
        stations.push(new Station(lab.qemu('vm.sock', 'vms.sock'), macs[i] as string, ips[i] as string))
      }
    })

    after(() => Promise.all(labs.map(lab => lab.close())))

    it('let guests of both ping each other', async () => {
      const [here, there] = stations as [Station, Station]
      await there.announce()
      const serving = there.serve()
      const mac = await here.resolve(ips[1])
      assert.equal(mac, macs[1])
      for (let sequence = 1; sequence <= 5; sequence++) await here.ping(mac, ips[1], sequence)
      there.stopServing()
      await serving
    })

    it('know the other’s guest behind the link, and loop nothing', async () => {
      for (const [i, { api }] of switches.entries()) {
        const entry = (await api.fdb()).find(({ mac }) => mac === macs[1 - i])
        assert.equal(entry?.port, 'link')
        const port = (await api.ports()).find(({ name }) => name === 'link')
        // Two ARP frames and five echoes each way, and the announcement.
        assert.ok((port?.counters.receiveFrames ?? 0) <= 8, JSON.stringify(port?.counters))
      }
    })
  })
}
