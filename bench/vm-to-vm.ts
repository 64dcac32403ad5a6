/**
 * What is left of a TCP connection between two VMs when a switch stands between them? Prints one Markdown table, a row for
 * each way in which QEMU's VMs can be plugged in.
 *
 *     npm run bench -- vm-to-vm [--rounds 5] [--seconds 4] [--mtu 1500] [--qlen 512] [--only path,stream-tcp]
 *
 * Every row is a pair of QEMU VMs, emulated. Each *kind* of netdev has a row without a switch, two QEMUs wired back to
 * back over just that netdev, and the others are compared with it. The pairs of a kind are all booted before its first
 * measurement (an idle VM takes less than one percent of a core) and measured in turn, round after round, so that what
 * else the machine does meets all of them; a ratio is to the same round's back-to-back figure. One kind follows the
 * other, so rates of different kinds say less than ratios do.
 *
 * Back to back, QEMU's unix datagram sockets make a sender wait and lose nothing, as streams do: what such a row sends
 * again, its switch has lost. UDP loses what a receiver has no room for, with and without a switch.
 *
 * How many bytes move in `--seconds` is taken from each pair's own warm-up.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { findCommand, requirements } from '../test/support/requires.js'
import { freeUdpPort } from '../test/support/udp-peer.js'
import { dgramNetdev, streamNetdev, Vm, type VmOptions, vmNeeds } from '../test/support/vm.js'
import { type TransferResult, transfer } from '../test/support/vm-transfer.js'
import { Child, stopAll, stopAllOnSignal } from './child.js'
import { freePort, manyPeers, onePeerEach, startTapswitch, streams } from './forwarders.js'
import { enterNamespace } from './machine.js'
import { spread, table } from './statistics.js'

/** How two VMs are joined: what each one's QEMU is given, and how to take the switch between them away. */
interface Wiring {
  netdevs: [string[], string[]]
  /** The first VM listens for the second, which would not try again. */
  inTurn?: boolean
  close(): Promise<void>
}

/** Of netdev: what QEMU's frames cross. */
const kinds = {
  unixgram: 'dgram, unix',
  'stream-unix': 'stream, unix',
  'stream-tcp': 'stream, TCP',
  udp: 'dgram, UDP',
} as const
type Kind = keyof typeof kinds

interface Row {
  key: string
  kind: Kind
  name: string
  missing?(): string | undefined
  wire(folder: string): Promise<Wiring>
}

interface Pair {
  row: Row
  wiring: Wiring
  vms: Vm[]
  warmUp: TransferResult
  results: TransferResult[]
}

const warmUpBytes = 20_000_000
const loopback = '127.0.0.1'
const nothing = async () => {}

/** Wiring where the VMs' own sockets are in `folder` and frames go to the two paths of `to`, which may be the same. */
function unixDatagrams(folder: string, to: [string, string]): [string[], string[]] {
  return [
    dgramNetdev({ local: join(folder, 'a.sock'), remote: to[0] }),
    dgramNetdev({ local: join(folder, 'b.sock'), remote: to[1] }),
  ]
}

function udpDatagrams(local: number, remote: number): string[] {
  const end = (name: string, port: number) => `${name}.type=inet,${name}.host=${loopback},${name}.port=${port}`
  return ['-netdev', `dgram,id=net0,${end('local', local)},${end('remote', remote)}`]
}

function tcpStream(port: number, server: 'on' | 'off'): string[] {
  return ['-netdev', `stream,id=net0,server=${server},addr.type=inet,addr.host=${loopback},addr.port=${port}`]
}

async function unixDatagramsThroughTapswitch(folder: string, transports: typeof manyPeers): Promise<Wiring> {
  const { to, stop } = await startTapswitch(transports)
  return { netdevs: unixDatagrams(folder, [to[0], to[1] ?? to[0]]), close: stop }
}

async function unixStreamsThroughTapswitch(): Promise<Wiring> {
  const { to, stop } = await startTapswitch(streams)
  return { netdevs: [streamNetdev(to[0], 'off'), streamNetdev(to[0], 'off')], close: stop }
}

async function tcpStreamsThroughTapswitch(): Promise<Wiring> {
  const port = await freePort()
  const { stop } = await startTapswitch([{ name: 'vms', type: 'stream', listen: `${loopback}:${port}` }])
  return { netdevs: [tcpStream(port, 'off'), tcpStream(port, 'off')], close: stop }
}

async function udpThroughTapswitch(): Promise<Wiring> {
  const [ours, a, b] = [freeUdpPort(), freeUdpPort(), freeUdpPort()]
  const peers = [`${loopback}:${a}`, `${loopback}:${b}`]
  const { stop } = await startTapswitch([{ name: 'vms', type: 'udp', listen: `${loopback}:${ours}`, peers }])
  return { netdevs: [udpDatagrams(a, ours), udpDatagrams(b, ours)], close: stop }
}

async function throughVde(folder: string): Promise<Wiring> {
  const control = join(folder, 'vde')
  const child = await Child.start('vde_switch', ['-s', control])
  for (let tries = 0; tries < 500 && !existsSync(join(control, 'ctl')); tries++) await delay(10)
  const netdev = ['-netdev', `vde,id=net0,sock=${control}`]
  return { netdevs: [netdev, netdev], close: async () => void (await child.stop()) }
}

function unixDatagramsDirect(folder: string): Wiring {
  return { netdevs: unixDatagrams(folder, [join(folder, 'b.sock'), join(folder, 'a.sock')]), close: nothing }
}

function unixStreamDirect(folder: string): Wiring {
  const path = join(folder, 'vm.sock')
  return { netdevs: [streamNetdev(path, 'on'), streamNetdev(path, 'off')], inTurn: true, close: nothing }
}

async function tcpStreamDirect(): Promise<Wiring> {
  const port = await freePort()
  return { netdevs: [tcpStream(port, 'on'), tcpStream(port, 'off')], inTurn: true, close: nothing }
}

function udpDirect(): Wiring {
  const [a, b] = [freeUdpPort(), freeUdpPort()]
  return { netdevs: [udpDatagrams(a, b), udpDatagrams(b, a)], close: nothing }
}

const direct = (kind: Kind, wire: (folder: string) => Wiring | Promise<Wiring>): Row => ({
  ...{ key: `direct-${kind}`, kind, name: 'back to back' },
  wire: async folder => wire(folder),
})

const rows: Row[] = [
  direct('unixgram', unixDatagramsDirect),
  {
    ...{ key: 'path', kind: 'unixgram', name: 'tapswitch, unixgram, one path' },
    wire: folder => unixDatagramsThroughTapswitch(folder, manyPeers),
  },
  {
    ...{ key: 'paths', kind: 'unixgram', name: 'tapswitch, unixgram, two paths with `peers: one`' },
    wire: folder => unixDatagramsThroughTapswitch(folder, onePeerEach),
  },
  {
    ...{ key: 'vde', kind: 'unixgram', name: 'vde_switch' },
    missing: () => (findCommand('vde_switch') ? undefined : 'vde_switch is not installed'),
    wire: throughVde,
  },
  direct('stream-unix', unixStreamDirect),
  {
    ...{ key: 'stream-unix', kind: 'stream-unix', name: 'tapswitch, stream, unix' },
    wire: unixStreamsThroughTapswitch,
  },
  direct('stream-tcp', tcpStreamDirect),
  { ...{ key: 'stream-tcp', kind: 'stream-tcp', name: 'tapswitch, stream, TCP' }, wire: tcpStreamsThroughTapswitch },
  direct('udp', udpDirect),
  { ...{ key: 'udp', kind: 'udp', name: 'tapswitch, udp' }, wire: udpThroughTapswitch },
]
const keys = rows.map(({ key }) => key)

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '4' },
      mtu: { type: 'string', default: '1500' },
      qlen: { type: 'string', default: '512' },
      only: { type: 'string', default: keys.join(',') },
    },
  })
  const number = (option: 'rounds' | 'seconds' | 'mtu' | 'qlen') => {
    const value = Number(values[option])
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${option}: a whole number, at least 1`)
    return value
  }
  const wanted = values.only.split(',')
  const unknown = wanted.find(key => !keys.includes(key))
  if (unknown !== undefined) throw new Error(`--only: no row is named ${unknown}; there are: ${keys.join(', ')}`)
  const isWanted = ({ key, kind }: Row) =>
    wanted.includes(key) || rows.some(row => row.kind === kind && wanted.includes(row.key) && key === `direct-${kind}`)
  return {
    rounds: number('rounds'),
    seconds: number('seconds'),
    mtu: number('mtu'),
    qlen: number('qlen'),
    chosen: rows.filter(isWanted),
  }
}

async function startPair(row: Row, index: number, mtu: number, folder: string): Promise<Pair> {
  const wiring = await row.wire(folder)
  const vms: Vm[] = []
  const options = (name: string, host: number, netdevArgs: string[]): VmOptions => ({
    name: `${row.key}-${name}`,
    mac: `52:54:00:00:0${index}:0${host}`,
    ip: `10.9.${index}.${host}/24`,
    mtu,
    netdevArgs,
  })
  const [a, b] = [options('a', 1, wiring.netdevs[0]), options('b', 2, wiring.netdevs[1])]
  try {
    for (const group of wiring.inTurn ? [[a], [b]] : [[a, b]]) vms.push(...(await Vm.startAll(group)))
    return { row, wiring, vms, warmUp: await move(vms, index, warmUpBytes), results: [] }
  } catch (error) {
    await Promise.all(vms.map(vm => vm.stop()))
    await wiring.close()
    throw error
  }
}

function move(vms: readonly Vm[], index: number, bytes: number): Promise<TransferResult> {
  const [from, to] = vms as [Vm, Vm]
  return transfer({ from, to, address: `10.9.${index}.2`, bytes, timeoutMs: 300_000 })
}

async function measure(pairs: Pair[], rounds: number, seconds: number): Promise<void> {
  for (let round = 1; round <= rounds; round++)
    for (const [index, { row, vms, warmUp, results }] of pairs.entries()) {
      const result = await move(vms, index, Math.ceil((warmUp.bytes / warmUp.seconds) * seconds))
      results.push(result)
      const rate = `${result.megabitsPerSecond.toFixed(0)} Mbit/s, ${result.retransmitted} sent again`
      console.error(`${kinds[row.kind]}: round ${round}/${rounds}: ${row.name}: ${rate}`)
    }
}

/** The table's rows of one kind, whose first pair has no switch. */
function cells(pairs: readonly Pair[]): string[][] {
  const rates = ({ results }: Pair) => results.map(({ megabitsPerSecond }) => megabitsPerSecond)
  const [backToBack = []] = pairs.map(rates)
  const whole = (value: number) => value.toFixed(0)
  return pairs.map(pair => [
    pair.row.name,
    kinds[pair.row.kind],
    spread(rates(pair), whole),
    spread(rates(pair).map((rate, round) => rate / (backToBack[round] as number))),
    spread(
      pair.results.map(({ retransmitted }) => retransmitted),
      whole,
    ),
  ])
}

async function runKind(chosen: readonly Row[], { rounds, seconds, mtu }: ReturnType<typeof readOptions>, root: string) {
  const pairs: Pair[] = []
  try {
    for (const row of chosen)
      pairs.push(await startPair(row, pairs.length, mtu, await mkdtemp(join(root, `${row.key}-`))))
    await measure(pairs, rounds, seconds)
    return cells(pairs)
  } finally {
    await Promise.all(pairs.flatMap(({ vms }) => vms.map(vm => vm.stop())))
    await Promise.all(pairs.map(({ wiring }) => wiring.close()))
  }
}

async function main(): Promise<void> {
  const options = readOptions()
  const { rounds, seconds, mtu, qlen } = options
  const { skip } = requirements(vmNeeds)
  if (skip) return console.log(`- not measured: VM to VM ${skip}\n`)
  await enterNamespace(qlen)
  stopAllOnSignal()

  const root = await mkdtemp(join(tmpdir(), 'tapswitch-vms-'))
  const notes = options.chosen.flatMap(row => {
    const missing = row.missing?.()
    return missing === undefined ? [] : [`- not measured: ${row.name}: ${missing}\n`]
  })
  const measured: string[][] = []
  try {
    for (const kind of Object.keys(kinds)) {
      const chosen = options.chosen.filter(row => row.kind === kind && row.missing?.() === undefined)
      measured.push(...(await runKind(chosen, options, root)))
    }
    console.log(table(['TCP from VM to VM', 'netdev', 'Mbit/s', 'of back to back', 'segments sent again'], measured))
    console.log(`Median of ${rounds} rounds of ${seconds} s (least-greatest); MTU ${mtu}; every checksum matched.\n`)
    console.log(notes.join(''))
  } finally {
    await stopAll()
    await rm(root, { recursive: true, force: true })
  }
}

await main()
