/**
 * A guest of v86 and a VM of QEMU on one switch. v86 runs here in Node with the WebSocket of `ws`; in a browser it has
 * that of the browser.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../support/eventually.js'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { V86Station } from '../support/v86-station.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'

const mac = '52:54:00:00:00:01'

describe('a guest of v86', { ...requirements(vmNeeds), timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let station: V86Station
  let vm: Vm

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({
      transports: [
        { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
        { name: 'web', type: 'websocket', listen: '/ethernet' },
      ],
    })
    const netdevArgs = dgramNetdev({ local: lab.path('vm.sock'), remote: lab.path('vms.sock') })
    vm = await Vm.start({ name: 'vm', mac, ip: '10.9.0.1/24', netdevArgs })
    lab.onClose(() => vm.stop())
    await vm.run('ping -c 1 -w 1 10.9.0.98')
    station = V86Station.start(lab.folder, `${running.url.replace('http', 'ws')}/ethernet`)
    lab.onClose(() => station.stop())
  })

  after(() => lab?.close())

  it('finds a VM of QEMU', async () => {
    await eventually(
      () => station.said,
      said => said.includes(`found ${mac.replaceAll(':', '')}`),
      'the answer to its question',
      60_000,
    )
  })

  it('answers its pings', async () => {
    const { output } = await vm.run('ping -c 5 -w 30 10.9.0.99', { timeoutMs: 60_000 })
    assert.match(output, /5 packets received, 0% packet loss/)
  })

  it('is a port of the WebSocket transport', async () => {
    const entry = (await running.api.fdb()).find(({ mac }) => mac === '02:00:00:00:86:01')
    assert.equal(entry?.port, 'web:1')
  })
})
