/**
 * passt as the uplink: the switch connects to its socket as QEMU would, and guests get an address, and the host,
 * without root. passt runs in a namespace of the test's own, where a web server listens on loopback; passt shows that
 * to guests at the router's address.
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { askForAddress } from '../support/dhcp-client.js'
import { Lab } from '../support/lab.js'
import { Netns, netnsNeeds } from '../support/netns.js'
import { allOf, requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { streamNetdev, Vm, vmNeeds } from '../support/vm.js'
import { startWebServer, type WebServer } from '../support/web-server.js'

const needs = requirements(allOf(netnsNeeds, vmNeeds, { commands: ['passt'] }))

describe('passt as the uplink', { ...needs, timeout: 240_000 }, () => {
  let lab: Lab
  let host: Netns
  let web: WebServer
  let vm: Vm
  let running: SwitchProcess

  /** passt gives up root, so its folder must be open to others. */
  const startPasst = () => {
    const passt = host.spawn('passt', ...['-f', '-4', '-m', '1500', '-s', lab.path('passt/passt.sock')])
    lab.onClose(async () => void passt.kill('SIGKILL'))
    return passt
  }

  before(async () => {
    lab = await Lab.open()
    chmodSync(lab.folder, 0o755)
    mkdirSync(lab.path('passt'))
    chmodSync(lab.path('passt'), 0o777)
    host = Netns.make()
    lab.onClose(async () => host.remove())
    const world = Netns.make()
    lab.onClose(async () => world.remove())
    host.cable('out', world, 'in')
    host.ip('address', 'add', '192.0.2.7/24', 'dev', 'out')
    host.ip('route', 'add', 'default', 'via', '192.0.2.1')
    web = await startWebServer(host, '127.0.0.1', 8080, 3_000_000)
    lab.onClose(async () => web.stop())
    running = await lab.startSwitch({
      runtimeDir: lab.path('run'),
      transports: [
        { name: 'uplink', type: 'stream', connect: lab.path('passt/passt.sock') },
        { name: 'vms', type: 'stream', listen: lab.path('vms.sock') },
      ],
    })
    startPasst()
    await running.logged(line => line['event'] === 'connected', 60_000)
    vm = await Vm.start({
      name: 'vm',
      mac: '52:54:00:00:00:01',
      netdevArgs: streamNetdev(lab.path('vms.sock'), 'off'),
    })
    lab.onClose(() => vm.stop())
  })

  after(() => lab.close())

  it('gives a guest an address by DHCP', async () => {
    const { address, router } = await askForAddress(vm)
    assert.deepEqual([address, router], ['192.0.2.7', '192.0.2.1'])
  })

  it('lets it download from the host', async () => {
    const url = web.url.replace('127.0.0.1', '192.0.2.1')
    assert.equal((await vm.sh(`wget -q -O - ${url} | sha256sum`, { timeoutMs: 60_000 })).slice(0, 64), web.sha256)
  })
})
