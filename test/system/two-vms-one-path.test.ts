/** What the switch is for: two VMs that are told one and the same socket path. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'
import { transfer } from '../support/vm-transfer.js'

const megabyte = 1_000_000
const macs = ['52:54:00:00:00:0a', '52:54:00:00:00:0b'] as const
const addresses = ['10.9.0.1', '10.9.0.2'] as const
const config = { transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] }

describe('two VMs on one socket path', { ...requirements(vmNeeds), timeout: 240_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let vms: Vm[] = []

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch(config)
    vms = await Vm.startAll(
      addresses.map((ip, i) => ({
        name: `vm${i}`,
        mac: macs[i] as string,
        ip: `${ip}/24`,
        netdevArgs: dgramNetdev({ local: lab.path(`vm${i}.sock`), remote: lab.path('vms.sock') }),
      })),
    )
    lab.onClose(() => Promise.all(vms.map(vm => vm.stop())))
  })

  after(() => lab.close())

  /** The interface's own count of the frames it sent and received. */
  async function guestCounts(vm: Vm | undefined): Promise<number[]> {
    const text = await vm?.sh('cd /sys/class/net/eth0/statistics; cat tx_packets tx_bytes rx_packets rx_bytes')
    return (text ?? '').trim().split('\n').map(Number)
  }

  /** The same of the VM's port: what the guest sends, the switch receives. */
  async function portCounts(i: number): Promise<number[]> {
    const { name } = await running.api.portOf(lab.path(`vm${i}.sock`))
    const metrics = await running.api.metrics()
    return ['receive_frames', 'receive_bytes', 'transmit_frames', 'transmit_bytes'].map(what =>
      metrics.value(`tapswitch_port_${what}_total{port="${name}"}`),
    )
  }

  const pingEachOther = () =>
    Promise.all([
      vms[0]?.sh(`ping -c 10 -i 0.1 -w 30 ${addresses[1]}`, { timeoutMs: 40_000 }),
      vms[1]?.sh(`ping -c 10 -i 0.1 -w 30 ${addresses[0]}`, { timeoutMs: 40_000 }),
    ])

  it('ping each other', async () => {
    for (const output of await pingEachOther()) assert.match(String(output), / 0% packet loss/)
  })

  it('are found on their ports', async () => {
    const { api } = running
    const entries = await api.fdb()
    for (const [i, mac] of macs.entries()) {
      const port = await api.portOf(lab.path(`vm${i}.sock`))
      assert.deepEqual(
        entries.filter(entry => entry.mac === mac).map(({ portId, port: name }) => ({ portId, name })),
        [{ portId: port.id, name: port.name }],
      )
      assert.equal(port.counters.fdbEntries, 1)
    }
    assert.deepEqual((await api.ports()).map(({ name, up }) => [name, up]).sort(), [
      ['vms:1', true],
      ['vms:2', true],
    ])
  })

  it('move 100 MB whose checksum matches, and the switch counts what the guests count', async t => {
    const before = await Promise.all(vms.map(async (vm, i) => [await guestCounts(vm), await portCounts(i)]))
    const [from, to] = vms as [Vm, Vm]
    const result = await transfer({ from, to, address: addresses[1], bytes: 100 * megabyte })
    assert.ok(result.bytes >= 100 * megabyte)
    t.diagnostic(`${result.megabitsPerSecond.toFixed(0)} Mbit/s, ${result.retransmitted} segments retransmitted`)

    for (const [i, vm] of vms.entries()) {
      const [guestBefore = [], portBefore = []] = before[i] ?? []
      // The guest may send something of its own accord between the two readings.
      await eventually(
        async () => ({
          inGuest: since(guestBefore, await guestCounts(vm)),
          onPort: since(portBefore, await portCounts(i)),
        }),
        ({ inGuest, onPort }) => isDeepStrictEqual(inGuest, onPort),
        `vm${i} and its port count the same`,
      )
    }
    const { transmitDrops } = (await running.api.portOf(lab.path('vm1.sock'))).counters
    assert.deepEqual(transmitDrops, { 'queue-full': 0, oversize: 0, 'peer-gone': 0, error: 0, impaired: 0, restart: 0 })
  })

  it('count for count, frames from a peer that the test itself is', async () => {
    const { api } = running
    const alice = lab.qemu('alice.sock', 'vms.sock')
    const bob = lab.qemu('bob.sock', 'vms.sock')
    await alice.send(frame(ALICE, ALICE))
    await bob.send(frame(BOB, BOB))
    const sizes = [14, 60, 64, 512, 1514, 1518]
    const sent = sizes.flatMap(size => Array.from({ length: 25 }, () => frame(BOB, ALICE, size)))
    const bytes = sent.reduce((sum, { length }) => sum + length, 0)
    await alice.send(sent)
    assert.deepEqual(
      (await bob.receiveMany(sent.length)).map(({ length }) => length),
      sent.map(({ length }) => length),
    )
    const from = (await api.portOf(alice.path as string)).counters
    const to = (await api.portOf(bob.path as string)).counters
    assert.deepEqual([from.receiveFrames, from.receiveBytes], [1 + sent.length, 60 + bytes])
    assert.deepEqual([to.transmitFrames, to.transmitBytes], [sent.length, bytes])
    alice.close({ unlink: true })
    bob.close({ unlink: true })
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`ping again after ${signal} and a new switch, with nothing done to them`, async () => {
      running.kill(signal)
      await running.exited
      running = await lab.startSwitch(config)
      // Until both have said something, the switch does not know both: the first ones may be lost.
      await Promise.all(
        vms.map((vm, i) => vm.sh(`ping -c 1 -W 1 ${addresses[1 - i]} || ping -c 3 -w 20 ${addresses[1 - i]}`)),
      )
      for (const output of await pingEachOther()) assert.match(String(output), / 0% packet loss/)
      const known = (await running.api.fdb()).map(({ mac }) => mac)
      assert.deepEqual(known.sort(), [...macs])
    })
  }
})

const since = (before: number[], now: number[]) => now.map((count, i) => count - (before[i] ?? 0))
