/**
 * What is left of a TCP connection between two VMs when a switch stands between them? Prints one Markdown table.
 *
 *     npm run bench -- vm-to-vm [--rounds 5] [--megabytes 200] [--mtu 1500] [--qlen 512] [--only paths,vde]
 *
 * Every row is a pair of QEMU VMs, emulated, all booted before the first measurement; an idle VM takes less than one
 * percent of a core. The rows are measured in turn, round after round, so that what else the machine does meets all of them,
 * and each round's figure is compared with the same round's back-to-back figure. Back to back, QEMU's datagram sockets make a
 * sender wait and lose nothing: what a row sends again, its switch has lost.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { findCommand, requirements } from '../test/support/requires.js'
import { dgramNetdev, Vm, type VmOptions, vmNeeds } from '../test/support/vm.js'
import { type TransferResult, transfer } from '../test/support/vm-transfer.js'
import { Child, stopAll, stopAllOnSignal } from './child.js'
import { manyPeers, startTapswitch } from './forwarders.js'
import { enterNamespace } from './machine.js'
import { spread, table } from './statistics.js'

/** How two VMs are joined: what each one's QEMU is given, and how to take the switch between them away. */
interface Wiring {
  netdevs: [string[], string[]]
  close(): Promise<void>
}

interface Row {
  key: string
  name: string
  missing(): string | undefined
  wire(folder: string): Promise<Wiring>
}

interface Pair {
  row: Row
  wiring: Wiring
  vms: Vm[]
  results: TransferResult[]
}

const warmUpBytes = 20_000_000

/** Wiring where the VMs' own sockets are in `folder` and frames go to the two paths of `to`, which may be the same. */
function dgramPair(folder: string, to: [string, string]): [string[], string[]] {
  return [
    dgramNetdev({ local: join(folder, 'a.sock'), remote: to[0] }),
    dgramNetdev({ local: join(folder, 'b.sock'), remote: to[1] }),
  ]
}

async function throughTapswitch(folder: string, transports: Parameters<typeof startTapswitch>[0]): Promise<Wiring> {
  const { to, stop } = await startTapswitch(transports)
  return { netdevs: dgramPair(folder, [to[0], to[1] ?? to[0]]), close: stop }
}

async function throughVde(folder: string): Promise<Wiring> {
  const control = join(folder, 'vde')
  const child = await Child.start('vde_switch', ['-s', control])
  for (let tries = 0; tries < 500 && !existsSync(join(control, 'ctl')); tries++) await delay(10)
  const netdev = ['-netdev', `vde,id=net0,sock=${control}`]
  return { netdevs: [netdev, netdev], close: async () => void (await child.stop()) }
}

const always = () => undefined

const onePeerEach = [
  { name: 'vm1', listen: '1.sock', peers: 'one' as const },
  { name: 'vm2', listen: '2.sock', peers: 'one' as const },
]

const rows: Row[] = [
  {
    key: 'direct',
    name: 'back to back',
    missing: always,
    wire: async folder => ({
      netdevs: dgramPair(folder, [join(folder, 'b.sock'), join(folder, 'a.sock')]),
      close: async () => {},
    }),
  },
  { key: 'path', name: 'tapswitch, one path', missing: always, wire: folder => throughTapswitch(folder, manyPeers) },
  {
    key: 'paths',
    name: 'tapswitch, two paths with `peers: one`',
    missing: always,
    wire: folder => throughTapswitch(folder, onePeerEach),
  },
  {
    key: 'vde',
    name: 'vde_switch',
    missing: () => (findCommand('vde_switch') ? undefined : 'vde_switch is not installed'),
    wire: throughVde,
  },
]

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      megabytes: { type: 'string', default: '200' },
      mtu: { type: 'string', default: '1500' },
      qlen: { type: 'string', default: '512' },
      only: { type: 'string', default: rows.map(({ key }) => key).join(',') },
    },
  })
  const number = (option: 'rounds' | 'megabytes' | 'mtu' | 'qlen') => {
    const value = Number(values[option])
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${option}: a whole number, at least 1`)
    return value
  }
  const wanted = values.only.split(',')
  return {
    rounds: number('rounds'),
    bytes: number('megabytes') * 1_000_000,
    mtu: number('mtu'),
    qlen: number('qlen'),
    chosen: rows.filter(({ key }) => key === 'direct' || wanted.includes(key)),
  }
}

async function startPair(row: Row, index: number, mtu: number, folder: string): Promise<Pair> {
  const wiring = await row.wire(folder)
  const vm = (name: string, host: number, netdevArgs: string[]): VmOptions => ({
    name: `${row.key}-${name}`,
    mac: `52:54:00:00:0${index}:0${host}`,
    ip: `10.9.${index}.${host}/24`,
    mtu,
    netdevArgs,
  })
  try {
    const vms = await Vm.startAll([vm('a', 1, wiring.netdevs[0]), vm('b', 2, wiring.netdevs[1])])
    return { row, wiring, vms, results: [] }
  } catch (error) {
    await wiring.close()
    throw error
  }
}

function move(pair: Pair, index: number, bytes: number): Promise<TransferResult> {
  const [from, to] = pair.vms as [Vm, Vm]
  return transfer({ from, to, address: `10.9.${index}.2`, bytes, timeoutMs: 300_000 })
}

function report(pairs: Pair[]): string {
  const rates = (pair: Pair) => pair.results.map(({ megabitsPerSecond }) => megabitsPerSecond)
  const [direct] = pairs.map(rates)
  const cells = pairs.map(pair => [
    pair.row.name,
    spread(rates(pair), value => value.toFixed(0)),
    spread(rates(pair).map((rate, round) => rate / direct[round])),
    spread(
      pair.results.map(({ retransmitted }) => retransmitted),
      value => value.toFixed(0),
    ),
  ])
  return table(['TCP from VM to VM', 'Mbit/s', 'of back to back', 'segments sent again'], cells)
}

async function measure(pairs: Pair[], rounds: number, bytes: number): Promise<void> {
  for (const [index, pair] of pairs.entries()) await move(pair, index, warmUpBytes)
  for (let round = 1; round <= rounds; round++)
    for (const [index, pair] of pairs.entries()) {
      const result = await move(pair, index, bytes)
      pair.results.push(result)
      const rate = `${result.megabitsPerSecond.toFixed(0)} Mbit/s, ${result.retransmitted} sent again`
      console.error(`round ${round}/${rounds}: ${pair.row.name}: ${rate}`)
    }
}

async function main(): Promise<void> {
  const { rounds, bytes, mtu, qlen, chosen } = readOptions()
  const { skip } = requirements(vmNeeds)
  if (skip) return console.log(`- not measured: VM to VM ${skip}\n`)
  await enterNamespace(qlen)
  stopAllOnSignal()

  const root = await mkdtemp(join(tmpdir(), 'tapswitch-vms-'))
  const pairs: Pair[] = []
  const notes: string[] = []
  try {
    for (const row of chosen) {
      const missing = row.missing()
      if (missing) notes.push(`- not measured: ${row.name}: ${missing}\n`)
      else pairs.push(await startPair(row, pairs.length, mtu, await mkdtemp(join(root, `${row.key}-`))))
    }
    await measure(pairs, rounds, bytes)
    console.log(report(pairs))
    console.log(`Median of ${rounds} rounds of ${bytes / 1e6} MB (least-greatest); MTU ${mtu}; every checksum matched.`)
    console.log(notes.join(''))
  } finally {
    await Promise.all(pairs.flatMap(({ vms }) => vms.map(vm => vm.stop())))
    await Promise.all(pairs.map(({ wiring }) => wiring.close()))
    await stopAll()
    await rm(root, { recursive: true, force: true })
  }
}

await main()
