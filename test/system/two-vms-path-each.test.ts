import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { requirements } from '../support/requires.js'
import { SwitchProcess } from '../support/switch-process.js'
import { dgramNetdev, Vm, vmNeeds } from '../support/vm.js'
import { transfer } from '../support/vm-transfer.js'

const http = { listen: '127.0.0.1:0' }
const pathEach = {
  transports: [
    { name: 'a', type: 'unixgram', listen: 'vm-a.sock', peers: 'one' },
    { name: 'b', type: 'unixgram', listen: 'vm-b.sock', peers: 'one' },
  ],
  http,
}

const remotes = ['vm-a.sock', 'vm-b.sock'] as const

describe('two VMs with a path each, `peers: one`', requirements(vmNeeds), () => {
  let folder: string
  let running: SwitchProcess | undefined
  let vms: Vm[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tapswitch-vm-'))
    running = await SwitchProcess.start(folder, pathEach)
    vms = await Vm.startAll(
      ['a', 'b'].map((vm, index) => ({
        name: vm,
        mac: `52:54:00:00:00:0${vm}`,
        ip: `10.9.0.${index + 1}/24`,
        netdevArgs: dgramNetdev({
          local: join(folder, `${vm}.qemu`),
          remote: join(folder, remotes[index] as string),
        }),
      })),
    )
  })

  after(async () => {
    await Promise.all(vms.map(vm => vm.stop()))
    await running?.stop()
    await rm(folder, { recursive: true })
  })

  it('ping each other', () => pingBothWays(vms as [Vm, Vm]))

  it('move 100 MB whose checksum matches, and lose next to nothing', t =>
    moveMuch(vms as [Vm, Vm], running as SwitchProcess, t))

  it('count in /metrics what the guests count', () => compareCounts(vms as [Vm, Vm], running as SwitchProcess))

  it('find each other again after the switch was restarted', async () => {
    await running?.stop()
    running = await SwitchProcess.start(folder, pathEach)
    await findEachOther(vms as [Vm, Vm])
  })

  it('find each other again after the switch was killed', async () => {
    await running?.kill9()
    running = await SwitchProcess.start(folder, pathEach)
    await findEachOther(vms as [Vm, Vm])
  })
})

async function pingBothWays([a, b]: [Vm, Vm]): Promise<void> {
  assert.match(await a.sh('ping -c 5 -i 0.1 -w 10 10.9.0.2'), / 0% packet loss/)
  assert.match(await b.sh('ping -c 5 -i 0.1 -w 10 10.9.0.1'), / 0% packet loss/)
}

async function moveMuch([a, b]: [Vm, Vm], running: SwitchProcess, t: TestContext): Promise<void> {
  const before = await dropped(running)
  const result = await transfer({ from: a, to: b, address: '10.9.0.2', bytes: 100_000_000 })
  t.diagnostic(`${result.megabitsPerSecond.toFixed(0)} Mbit/s, ${result.retransmitted} segments sent again`)
  const lost = (await dropped(running)) - before
  // None, unless this machine denies a VM the CPU for longer than the sender is made to wait; of some 100,000 frames.
  assert.ok(lost < 100, `${lost} frames were dropped`)
}

/** Both send: the new switch knows neither until its first frame. */
async function findEachOther([a, b]: [Vm, Vm]): Promise<void> {
  const untilAnswered = (address: string) => `until ping -c 1 -W 1 ${address}; do sleep 0.2; done`
  await Promise.all([a.sh(untilAnswered('10.9.0.2')), b.sh(untilAnswered('10.9.0.1'))])
  await pingBothWays([a, b])
}

/** What left the guests entered the switch, and the other way round. Counters may be a moment behind the frames. */
async function compareCounts(vms: [Vm, Vm], running: SwitchProcess): Promise<void> {
  const deadline = performance.now() + 5_000
  for (;;) {
    const [guests, seen] = [await guestCounts(vms), await switchCounts(running)]
    if (performance.now() > deadline) return assert.deepEqual(seen, guests)
    if (seen.received === guests.received && seen.transmitted === guests.transmitted) return
    await delay(100)
  }
}

/** Frames in the switch's words: what a guest transmits is received. */
interface Counts {
  received: number
  transmitted: number
}

async function guestCounts(vms: Vm[]): Promise<Counts> {
  const read = (file: string) => Promise.all(vms.map(vm => vm.sh(`cat /sys/class/net/eth0/statistics/${file}`)))
  const sum = (numbers: string[]) => numbers.reduce((total, text) => total + Number(text), 0)
  return { received: sum(await read('tx_packets')), transmitted: sum(await read('rx_packets')) }
}

async function switchCounts(running: SwitchProcess): Promise<Counts> {
  const sum = await sums(running)
  return {
    received: sum('tapswitch_port_receive_frames_total'),
    transmitted: sum('tapswitch_port_transmit_frames_total'),
  }
}

async function dropped(running: SwitchProcess): Promise<number> {
  const sum = await sums(running)
  return sum('tapswitch_port_receive_drop_total') + sum('tapswitch_port_transmit_drop_total')
}

/** One scrape: the sum of a metric over all its labels. */
async function sums({ url }: SwitchProcess): Promise<(metric: string) => number> {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n')
  return metric => {
    const values = lines.filter(line => line.startsWith(`${metric}{`)).map(line => Number(line.split(' ').pop()))
    assert.ok(values.length > 0, `/metrics has no ${metric}`)
    return values.reduce((total, value) => total + value)
  }
}
