/** docs/getting-started.md, followed to the letter: its configuration, and a VM for each line it has for QEMU. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { parse } from 'yaml'
import { codeBlocks, page, qemuLines } from '../support/documents.js'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import { freePort } from '../support/slirp-guest.js'
import type { SwitchProcess } from '../support/switch-process.js'
import { freeUdpPort } from '../support/udp-peer.js'
import { Vm, vmNeeds } from '../support/vm.js'

const { text } = page('docs/getting-started.md')
const configuration = codeBlocks(text).find(({ language }) => language === 'yaml')?.text as string
const lines = qemuLines(text)
const ipOf = (i: number) => `10.9.0.${i + 1}`

describe('whoever follows the guide for QEMU', { ...requirements(vmNeeds), timeout: 300_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let guests: Vm[] = []

  before(async () => {
    lab = await Lab.open()
    const ports: [string, number][] = [
      ['127.0.0.1:9676', 0],
      ['9000', await freePort()],
      ['7000', freeUdpPort()],
      ['7001', freeUdpPort()],
      ['1234', freeUdpPort()],
    ]
    /** The page's ports may be somebody else's here. */
    const here = (line: string) =>
      // In one pass: a free port may have the digits of another of the page's.
      line
        .replaceAll(new RegExp(ports.map(([from]) => from.replaceAll('.', '\\.')).join('|'), 'g'), from => {
          const to = ports.find(([each]) => each === from)?.[1]
          return from.includes(':') ? `127.0.0.1:${to}` : String(to)
        })
        .replaceAll('DIR', lab.folder)
    running = await lab.startSwitch(parse(here(configuration)))
    guests = await Vm.startAll(
      lines.map(({ arguments: args }, i) => {
        const [, netdev, mac] = /^-netdev (\S+) -device virtio-net-pci,netdev=net0,mac=(\S+)$/.exec(here(args)) ?? []
        assert.ok(netdev && mac, args)
        return { name: `${i}`, mac, ip: `${ipOf(i)}/24`, mtu: 1450, memoryMb: 96, netdevArgs: ['-netdev', netdev] }
      }),
    )
    lab.onClose(() => Promise.all(guests.map(vm => vm.stop())))
  })

  after(() => lab?.close())

  it('has a VM on every transport of it, in all of its ways', () => {
    assert.deepEqual(
      [...new Set(lines.map(({ to }) => /`(\w+)`/.exec(to)?.[1]))],
      ['vms', 'stream', 'tcp', 'served', 'udp', 'group'],
    )
    assert.equal(lines.length, 7)
  })

  it('has VMs that all reach each other', async () => {
    for (const vm of guests) await vm.run(`ping -c 1 -w 1 ${ipOf(99)}`)
    const failed: string[] = []
    await Promise.all(
      guests.map(async (vm, i) => {
        for (const j of guests.keys()) {
          if (i === j) continue
          const { output } = await vm.run(`ping -c 1 -w 40 ${ipOf(j)}`, { timeoutMs: 60_000 })
          if (!/ 1 packets received/.test(output)) failed.push(`${lines[i]?.to} to ${lines[j]?.to}: ${output}`)
        }
      }),
    )
    assert.deepEqual(failed, [])
  })

  it('finds each behind the port of the transport it was told', async () => {
    const fdb = await running.api.fdb()
    for (const { to, arguments: args } of lines) {
      const mac = /mac=(\S+)/.exec(args)?.[1]
      const transport = /`(\w+)`/.exec(to)?.[1]
      assert.equal(fdb.find(entry => entry.mac === mac)?.port.split(':')[0], transport, `${to}: ${mac}`)
    }
  })
})
