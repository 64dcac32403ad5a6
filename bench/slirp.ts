/**
 * What does NAT cost here, and what in QEMU itself? Both are libslirp; ours has a switch in front, a process of its own, and JavaScript around it.
 * Prints one Markdown table.
 *
 *     npm run bench -- slirp [--rounds 5] [--megabytes 100] [--only unixgram,stream]
 *
 * Every row is a QEMU VM, emulated, all booted before the first measurement. One TCP connection to this host's loopback, each way,
 * rows in turn, round after round; a row is compared with the same round's `-netdev user`.
 */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { requirements } from '../test/support/requires.js'
import { slirpNeeds } from '../test/support/slirp-guest.js'
import { dgramNetdev, Vm, vmNeeds } from '../test/support/vm.js'
import { stopAll, stopAllOnSignal } from './child.js'
import { netbenchSource } from './compile.js'
import { freePort, startTapswitch } from './forwarders.js'
import { enterNamespace } from './machine.js'
import { spread, table } from './statistics.js'

const GUEST = '10.0.2.15'
const GATEWAY = '10.0.2.2'
const GUEST_PORT = 5001
const warmUpBytes = 10_000_000
/** USER_HZ, the same on every Linux of today. */
const TICKS_PER_SECOND = 100

interface Wiring {
  netdev: string[]
  /** Of the switch; 0 where there is none. */
  pid: number
  close(): Promise<void>
}

interface Row {
  key: string
  name: string
  /** `forwarded` is the port of this host that leads to GUEST_PORT. */
  wire(folder: string, forwarded: number): Promise<Wiring>
}

async function throughTapswitch(forwarded: number, stream: boolean, folder: string): Promise<Wiring> {
  const forwards = [{ protocol: 'tcp', host: `127.0.0.1:${forwarded}`, guest: `${GUEST}:${GUEST_PORT}` }]
  const uplink = { name: 'nat', type: 'slirp', hostLoopback: true, forwards }
  const transport = {
    name: 'vm',
    listen: 'vm.sock',
    peers: 'one' as const,
    ...(stream ? { type: 'stream' as const } : {}),
  }
  const { to, pid, stop } = await startTapswitch([transport], undefined, [uplink])
  const path = to[0] as string
  return {
    netdev: stream
      ? ['-netdev', `stream,id=net0,server=off,addr.type=unix,addr.path=${path}`]
      : dgramNetdev({ local: join(folder, 'qemu.sock'), remote: path }),
    pid,
    close: stop,
  }
}

const rows: Row[] = [
  {
    key: 'user',
    name: 'QEMU `-netdev user`',
    wire: async (_folder, forwarded) => ({
      netdev: ['-netdev', `user,id=net0,hostfwd=tcp:127.0.0.1:${forwarded}-${GUEST}:${GUEST_PORT}`],
      pid: 0,
      close: async () => {},
    }),
  },
  {
    key: 'unixgram',
    name: 'tapswitch, unixgram, slirp',
    wire: (folder, forwarded) => throughTapswitch(forwarded, false, folder),
  },
  {
    key: 'stream',
    name: 'tapswitch, stream, slirp',
    wire: (folder, forwarded) => throughTapswitch(forwarded, true, folder),
  },
]

interface Guest {
  row: Row
  vm: Vm
  wiring: Wiring
  forwarded: number
  up: number[]
  down: number[]
  /** CPU seconds of QEMU and the switch for a gigabyte. */
  upCpu: number[]
  downCpu: number[]
}

interface Report {
  bytes: number
  seconds: number
  checksum: string
}

async function startGuest(row: Row, index: number, folder: string): Promise<Guest> {
  const forwarded = await freePort()
  const wiring = await row.wire(folder, forwarded)
  try {
    const options = { name: row.key, mac: `52:54:00:00:01:0${index}`, ip: `${GUEST}/24`, netdevArgs: wiring.netdev }
    const vm = await Vm.start(options)
    await vm.sh(`ip route add default via ${GATEWAY}; ping -c 1 -w 10 ${GATEWAY}`)
    return { row, vm, wiring, forwarded, up: [], down: [], upCpu: [], downCpu: [] }
  } catch (error) {
    await wiring.close()
    throw error
  }
}

const run = promisify(execFile)

/** Megabits a second, and fails unless both ends agree on what was moved. */
async function upload({ vm }: Guest, netbench: string, bytes: number): Promise<number> {
  const port = await freePort()
  const receiving = run(netbench, ['tcp-receive', String(port)])
  const sending = vm.sh(`netbench tcp-send ${GATEWAY} ${port} ${bytes}`, { timeoutMs: 300_000 })
  return rate(await sending, (await receiving).stdout)
}

async function download({ vm, forwarded }: Guest, netbench: string, bytes: number): Promise<number> {
  const receiving = vm.sh(`netbench tcp-receive ${GUEST_PORT}`, { timeoutMs: 300_000 })
  const listens = `grep -q :${GUEST_PORT.toString(16).toUpperCase()} /proc/net/tcp`
  await vm.sh(`for i in $(seq 100); do ${listens} && exit 0; sleep 0.1; done; exit 1`)
  const sending = run(netbench, ['tcp-send', '127.0.0.1', String(forwarded), String(bytes)])
  return rate((await sending).stdout, await receiving)
}

function rate(sent: string, received: string): number {
  const [from, to] = [JSON.parse(sent), JSON.parse(received)] as [Report, Report]
  assert.deepEqual([to.bytes, to.checksum], [from.bytes, from.checksum])
  return (from.bytes * 8) / from.seconds / 1e6
}

/** User and system time of QEMU, the switch and its slirp process, all threads. */
function cpuSeconds({ vm, wiring }: Guest): number {
  const ticks = [vm.pid, wiring.pid, ...childrenOf(wiring.pid)].map(pid => {
    if (pid === 0) return 0
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return Number(fields[11]) + Number(fields[12])
  })
  return ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND
}

function childrenOf(pid: number): number[] {
  if (pid === 0) return []
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}

function report(guests: Guest[]): string {
  const whole = (value: number) => value.toFixed(0)
  const ratio = (guest: Guest, way: 'up' | 'down') =>
    spread(guest[way].map((value, round) => value / ((guests[0] as Guest)[way][round] as number)))
  const cells = guests.map(guest => [
    guest.row.name,
    spread(guest.up, whole),
    ratio(guest, 'up'),
    spread(guest.upCpu),
    spread(guest.down, whole),
    ratio(guest, 'down'),
    spread(guest.downCpu),
  ])
  const way = (name: string) => [`${name}, Mbit/s`, 'of QEMU', 'CPU s/GB']
  return table(['TCP through NAT', ...way('VM to host'), ...way('host to VM')], cells)
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      megabytes: { type: 'string', default: '100' },
      only: { type: 'string', default: rows.map(({ key }) => key).join(',') },
    },
  })
  const number = (option: 'rounds' | 'megabytes') => {
    const value = Number(values[option])
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${option}: a whole number, at least 1`)
    return value
  }
  const wanted = values.only.split(',')
  return {
    rounds: number('rounds'),
    bytes: number('megabytes') * 1_000_000,
    chosen: rows.filter(({ key }) => key === 'user' || wanted.includes(key)),
  }
}

async function main(): Promise<void> {
  const { rounds, bytes, chosen } = readOptions()
  const skip = requirements(vmNeeds).skip || slirpNeeds().skip
  if (skip) return console.log(`- not measured: NAT ${skip}\n`)
  await enterNamespace(512)
  stopAllOnSignal()
  const root = await mkdtemp(join(tmpdir(), 'tapswitch-nat-'))
  const netbench = join(root, 'netbench')
  execFileSync('cc', ['-O2', '-o', netbench, netbenchSource])
  const guests: Guest[] = []
  try {
    for (const row of chosen)
      guests.push(await startGuest(row, guests.length, await mkdtemp(join(root, `${row.key}-`))))
    for (let round = 0; round <= rounds; round++) {
      for (const guest of guests) {
        const size = round === 0 ? warmUpBytes : bytes
        const started = cpuSeconds(guest)
        const up = await upload(guest, netbench, size)
        const turned = cpuSeconds(guest)
        const down = await download(guest, netbench, size)
        if (round === 0) continue
        guest.up.push(up)
        guest.down.push(down)
        guest.upCpu.push((turned - started) / (size / 1e9))
        guest.downCpu.push((cpuSeconds(guest) - turned) / (size / 1e9))
        console.error(
          `round ${round}/${rounds}: ${guest.row.name}: up ${up.toFixed(0)}, down ${down.toFixed(0)} Mbit/s`,
        )
      }
    }
    console.log(report(guests))
    console.log(`Median of ${rounds} rounds of ${bytes / 1e6} MB (least-greatest); MTU 1500; every checksum matched.\n`)
  } finally {
    await Promise.all(guests.map(({ vm }) => vm.stop()))
    await Promise.all(guests.map(({ wiring }) => wiring.close()))
    await stopAll()
    await rm(root, { recursive: true, force: true })
  }
}

await main()
