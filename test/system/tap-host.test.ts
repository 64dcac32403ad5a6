/**
 * A TAP in mode host, with everything in a namespace of the test: the switch itself runs there, as it would on a host.
 * Behind the switch are a VM, and a station that sends what no VM's kernel would.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { arpRequest } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { Netns, netnsNeeds } from '../support/netns.js'
import type { RawPeer } from '../support/raw-peer.js'
import { allOf, requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { readTcp, tcpSyn } from '../support/tcp-syn.js'
import { until } from '../support/until.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'
import { startWebServer, type WebServer } from '../support/web-server.js'

const needs = requirements(allOf(netnsNeeds, vmNeeds))
const forger = { mac: '02:00:00:00:00:66', address: '10.9.0.66' }

describe('a TAP in mode host', { ...needs, timeout: 180_000 }, () => {
  let host: Netns
  let lab: Lab
  let running: SwitchProcess
  let vm: Vm
  let web: WebServer
  let station: RawPeer
  let untouched: string[]
  let apiPort: number

  before(async () => {
    host = Netns.make()
    lab = await Lab.open()
    lab.onClose(async () => host.remove())
    untouched = host.state()
    const config = {
      interfaces: [{ name: 'host', type: 'tap', mode: 'host', device: 'tap0', address: '10.9.0.1/24' }],
      transports: [
        { name: 'vm', type: 'unixgram', listen: 'vm.sock', peers: 'one' },
        { name: 'any', type: 'unixgram', listen: 'any.sock' },
      ],
    }
    running = await lab.startSwitch(config, { through: ['ip', 'netns', 'exec', host.name] })
    apiPort = Number(new URL(running.url).port)
    web = await startWebServer(host, '10.9.0.1', 8080, 2_000_000)
    lab.onClose(async () => web.stop())
    const netdevArgs = dgramNetdev({ local: lab.path('vm.qemu'), remote: lab.path('vm.sock') })
    vm = await Vm.start({ name: 'guest', mac: '52:54:00:00:00:01', ip: '10.9.0.2/24', netdevArgs })
    lab.onClose(() => vm.stop())
    station = lab.qemu('station', 'any.sock')
  })

  after(() => lab.close())

  it('is there with its address, and up', () => {
    const [link] = JSON.parse(host.ip('-json', 'address', 'show', 'tap0')) as [Record<string, unknown>]
    assert.ok((link.flags as string[]).includes('UP'))
    assert.match(JSON.stringify(link.addr_info), /"local":"10.9.0.1"/)
  })

  it('shows in the API what it is', () => {
    const reply = fetchIn(host, `${running.url}/v1/interfaces`)
    const [{ facts }] = (JSON.parse(reply) as { interfaces: [{ facts: Record<string, unknown> }] }).interfaces
    const mac = host.run('cat', '/sys/class/net/tap0/address').trim()
    assert.deepEqual(facts, { mode: 'host', device: 'tap0', mac, mtu: 1500, netns: null, address: '10.9.0.1/24' })
  })

  it('answers pings of the VM, and pings it', async () => {
    assert.match(await vm.sh('ping -c 5 -i 0.1 -w 10 10.9.0.1'), / 0% packet loss/)
    assert.match(host.run('ping', '-c', '5', '-i', '0.1', '-w', '10', '10.9.0.2'), / 0% packet loss/)
  })

  it('carries TCP: a download has the checksum of the file', async () => {
    assert.equal((await vm.sh(`wget -q -O - ${web.url} | sha256sum`)).slice(0, 64), web.sha256)
  })

  it('lets no guest reach the API, which listens on loopback', async () => {
    assert.notEqual((await vm.run(`wget -q -T 3 -O - http://10.9.0.1:${apiPort}/healthz`)).status, 0)
    host.ip('neigh', 'replace', forger.address, 'lladdr', forger.mac, 'dev', 'tap0')
    const mac = host.run('cat', '/sys/class/net/tap0/address').trim()
    const syn = (address: string, port: number, from: number) =>
      tcpSyn({ source: { ...forger, port: from }, destination: { mac, address, port } })
    await station.send([syn('127.0.0.1', apiPort, 1001), syn('10.9.0.1', apiPort, 1002), syn('10.9.0.1', 8080, 1003)])
    const answers = new Map<number, string>()
    // The last answer comes when the others would have come.
    while (!answers.has(1003)) {
      const segment = readTcp(await station.receive())
      if (segment !== undefined) answers.set(segment.toPort, `${segment.from} ${segment.flags}`)
    }
    assert.deepEqual(Object.fromEntries(answers), { 1002: '10.9.0.1 ACK+RST', 1003: '10.9.0.1 SYN+ACK' })
  })

  it('is a port that is down while the interface is, and comes back by itself', async () => {
    const downs = () => running.log.filter(({ msg, port }) => msg === 'port down' && port === 'host').length
    const ups = () => running.log.filter(({ msg, port }) => msg === 'port up' && port === 'host').length
    host.ip('link', 'set', 'tap0', 'down')
    // The first frame that cannot be written says so.
    await vm.run('ping -c 1 -W 1 10.9.0.1')
    await until(() => downs() === 1, 'the port is down')
    host.ip('link', 'set', 'tap0', 'up')
    await until(() => ups() === 2, 'the port is up')
    assert.match(await vm.sh('ping -c 3 -i 0.1 -w 10 10.9.0.1'), / 0% packet loss/)
  })

  it('is made anew, with its MAC address, when somebody deletes it', async () => {
    const address = () => host.run('cat', '/sys/class/net/tap0/address')
    const before = address()
    host.ip('link', 'delete', 'tap0')
    await running.logged(({ event }) => event === 'device-lost')
    await running.logged(({ event }) => event === 'device-made', 20_000)
    await vm.sh('until ping -c 1 -W 1 10.9.0.1; do sleep 0.2; done')
    assert.equal(running.log.filter(({ event }) => event === 'device-lost').length, 1)
    assert.equal(address(), before)
  })

  it('does not keep the switch busy while it has nothing to do', async () => {
    const busy = () => {
      const text = fetchIn(host, `${running.url}/metrics`)
      return Number(/^tapswitch_dataplane_turns_total (\S+)$/m.exec(text)?.[1])
    }
    await station.send([arpRequest])
    const first = busy()
    await delay(1000)
    assert.ok(busy() - first < 200, 'the loop turns without a reason')
  })

  it('leaves everything as it was', async () => {
    await running.stop()
    await host.assertStill(untouched)
  })
})

function fetchIn(netns: Netns, url: string): string {
  return netns.run('busybox', 'wget', '-q', '-O', '-', url)
}
