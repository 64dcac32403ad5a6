import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { requirements } from '../support/requires.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'
import { transfer } from '../support/vm-transfer.js'

const megabyte = 1_000_000

describe('two VMs wired back to back', requirements(vmNeeds), () => {
  let folder: string
  let vms: Vm[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tapswitch-vm-'))
    const [a, b] = [join(folder, 'a.sock'), join(folder, 'b.sock')]
    vms = await Vm.startAll([
      { name: 'a', mac: '52:54:00:00:00:0a', ip: '10.9.0.1/24', netdevArgs: dgramNetdev({ local: a, remote: b }) },
      { name: 'b', mac: '52:54:00:00:00:0b', ip: '10.9.0.2/24', netdevArgs: dgramNetdev({ local: b, remote: a }) },
    ])
  })

  after(async () => {
    await Promise.all(vms.map(vm => vm.stop()))
    await rm(folder, { recursive: true })
  })

  it('boot', t => {
    for (const vm of vms) t.diagnostic(`${vm.name} took commands after ${Math.round(vm.bootMs)} ms`)
    assert.equal(vms.length, 2)
  })

  it('report output and status of a command', async () => {
    const [a] = vms as [Vm, Vm]
    assert.deepEqual(await a.run('echo out; echo err >&2; exit 3'), { output: 'out\nerr\n', status: 3 })
    assert.equal((await a.sh('cat /sys/class/net/eth0/address')).trim(), '52:54:00:00:00:0a')
  })

  it('run several commands at once', async () => {
    const [a] = vms as [Vm, Vm]
    await a.sh('mkfifo /tmp/pipe')
    const waiting = a.sh('cat /tmp/pipe')
    await a.sh('echo released > /tmp/pipe')
    assert.equal(await waiting, 'released\n')
  })

  it('end a command that takes too long', async () => {
    const [a] = vms as [Vm, Vm]
    await assert.rejects(a.run('exec sleep 1000', { timeoutMs: 300 }), /no answer in 300 ms to: exec sleep 1000/)
    assert.equal((await a.run('pidof sleep')).status, 1)
  })

  it('ping each other', async () => {
    const [a, b] = vms as [Vm, Vm]
    assert.match(await a.sh('ping -c 5 -i 0.1 -w 10 10.9.0.2'), / 0% packet loss/)
    assert.match(await b.sh('ping -c 5 -i 0.1 -w 10 10.9.0.1'), / 0% packet loss/)
  })

  it('move 100 MB whose checksum matches', async t => {
    const [a, b] = vms as [Vm, Vm]
    const result = await transfer({ from: a, to: b, address: '10.9.0.2', bytes: 100 * megabyte })
    assert.ok(result.bytes >= 100 * megabyte)
    t.diagnostic(`${result.megabitsPerSecond.toFixed(0)} Mbit/s, ${result.retransmitted} segments retransmitted`)
  })
})
