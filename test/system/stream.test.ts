/**
 * VMs on streams: QEMU as client on a unix path and over TCP, with its newer and its older netdev, and QEMU as server.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { streamNetdev, Vm, type VmOptions, vmNeeds } from '../support/vm.js'
import { transfer } from '../support/vm-transfer.js'

const vmOptions = (n: number, netdevArgs: string[]): VmOptions => ({
  name: `vm${n}`,
  mac: `52:54:00:00:00:0${n}`,
  ip: `10.9.0.${n}/24`,
  netdevArgs,
})

const ping = (from: Vm, n: number) => from.sh(`ping -c 3 -i 0.2 -w 30 10.9.0.${n}`, { timeoutMs: 40_000 })

describe('VMs that connect to the switch by stream', { ...requirements(vmNeeds), timeout: 240_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let vms: Vm[] = []

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({
      transports: [
        { name: 'path', type: 'stream', listen: 'vms.sock' },
        { name: 'tcp', type: 'stream', listen: '127.0.0.1:0' },
      ],
    })
    const { listen: where } = await running.api.transport('tcp')
    const [host, port] = where.split(':')
    vms = await Vm.startAll([
      vmOptions(1, streamNetdev(lab.path('vms.sock'), 'off')),
      vmOptions(2, ['-netdev', `stream,id=net0,server=off,addr.type=inet,addr.host=${host},addr.port=${port}`]),
      vmOptions(3, ['-netdev', `socket,id=net0,connect=${where}`]),
    ])
    lab.onClose(() => Promise.all(vms.map(vm => vm.stop())))
  })

  after(() => lab.close())

  it('ping each other, every pair', async () => {
    for (const [i, vm] of vms.entries()) {
      for (const n of [1, 2, 3]) if (n !== i + 1) await ping(vm, n)
    }
  })

  it('move bytes over TCP, unharmed', async () => {
    const [path, stream, socket] = vms as [Vm, Vm, Vm]
    await transfer({ from: path, to: stream, address: '10.9.0.2', bytes: 20_000_000 })
    await transfer({ from: stream, to: socket, address: '10.9.0.3', bytes: 20_000_000 })
    const metrics = await running.api.metrics()
    assert.equal(metrics.value('tapswitch_transport_receive_drop_total{transport="path",reason="bad-length"}'), 0)
  })

  it('take their port with them when they are killed, and get another when they are back', async () => {
    const before = (await running.api.ports()).length
    await vms[0]?.kill9()
    for (let tries = 0; (await running.api.ports()).length !== before - 1; tries++) {
      assert.ok(tries < 200, 'the port is gone')
      await new Promise(resolve => setTimeout(resolve, 25))
    }
    vms[0] = await Vm.start(vmOptions(1, streamNetdev(lab.path('vms.sock'), 'off')))
    await ping(vms[0], 2)
    await ping(vms[1] as Vm, 1)
  })
})

describe('VMs that the switch connects to by stream', { ...requirements(vmNeeds), timeout: 240_000 }, () => {
  let lab: Lab
  const vms: Vm[] = []
  const config = {
    transports: [
      { name: 'vm1', type: 'stream', connect: 'vm1.sock' },
      { name: 'vm2', type: 'stream', connect: 'vm2.sock' },
    ],
  }
  const startVm = (n: number) => Vm.start(vmOptions(n, streamNetdev(lab.path(`vm${n}.sock`), 'on')))
  const connected = (running: SwitchProcess, transport: string, after = 0) =>
    running.logged((line, i) => i >= after && line['name'] === transport && line['event'] === 'connected', 60_000)

  before(async () => {
    lab = await Lab.open()
    lab.onClose(() => Promise.all(vms.map(vm => vm.stop())))
  })

  after(() => lab.close())

  it('are found whichever starts first, and again after either side restarts', async () => {
    vms.push(await startVm(1))
    let running = await lab.startSwitch(config)
    vms.push(await startVm(2))
    await Promise.all([connected(running, 'vm1'), connected(running, 'vm2')])
    await ping(vms[0] as Vm, 2)

    const { id } = (await running.api.ports()).find(({ name }) => name === 'vm2') as { id: number }
    const logged = running.log.length
    await vms[1]?.kill9()
    vms[1] = await startVm(2)
    await connected(running, 'vm2', logged)
    await ping(vms[0] as Vm, 2)
    assert.equal((await running.api.port(id)).up, true)

    await running.stop()
    running = await lab.startSwitch(config)
    await Promise.all([connected(running, 'vm1'), connected(running, 'vm2')])
    await ping(vms[0] as Vm, 2)
    await ping(vms[1] as Vm, 1)
  })
})
