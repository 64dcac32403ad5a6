/**
 * The forwarders that are compared, each started on sockets in a directory of its own. A row names the forwarder, the
 * kind of peer it is measured with, and the C row that does the same kind of work, which is its limit.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Child } from './child.js'
import { compile, hasVdeplug, root } from './compile.js'
import type { PeerKind } from './load.js'
import { tapRows } from './tap-rows.js'

export interface Forwarder {
  pid: number
  directory: string
  to: string[]
  /** Of the HTTP API; 0 where there is none. */
  httpPort: number
  stop(): Promise<void>
}

export interface Row {
  key: string
  group: 'c' | 'tapswitch' | 'vde'
  name: string
  peers: PeerKind
  /** The C rows this one is compared to, the one of the same kind first. */
  limits: string[]
  /** Bytes; longer frames are not tried. */
  largest?: number
  /** Why this row cannot be measured here. */
  missing(): string | undefined
  start(cpu?: number): Promise<Forwarder>
}

/** The largest frame of a benchmark: 9,014 bytes and a VLAN tag. */
const maxFrameSize = 9018

const tapswitch = join(root, 'dist', 'cli', 'main.js')

export type Launch = (directory: string) => Promise<{ child: Child; to: string[]; httpPort?: number }>

const directories = new Set<string>()
process.on('exit', () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

async function launch(start: Launch): Promise<Forwarder> {
  const directory = mkdtempSync(join(tmpdir(), 'tapswitch-bench-'))
  directories.add(directory)
  const remove = async () => {
    await rm(directory, { recursive: true, force: true })
    directories.delete(directory)
  }
  try {
    const { child, to, httpPort = 0 } = await start(directory)
    const stop = async () => {
      await child.stop()
      await remove()
    }
    return { pid: child.pid, directory, to, httpPort, stop }
  } catch (error) {
    await remove()
    throw error
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}

function cForwarder(mode: '--by-path' | '--connected' | '--one', full: 'wait' | 'drop') {
  return (cpu?: number) =>
    launch(async directory => {
      const names = mode === '--one' ? ['1.sock', '2.sock'] : ['vms.sock']
      const to = names.map(name => join(directory, name))
      const child = await Child.start(compile('forwarder'), [mode, ...to, '--full', full], { ready: /^ready$/m, cpu })
      return { child, to }
    })
}

async function cStreamForwarder(cpu?: number) {
  return launch(async directory => {
    const path = join(directory, 'vms.sock')
    const child = await Child.start(compile('stream-forwarder'), [path], { ready: /^ready$/m, cpu })
    return { child, to: [path] }
  })
}

async function cUdpForwarder(cpu?: number) {
  return launch(async () => {
    const port = String(await freePort())
    return { child: await Child.start(compile('udp-forwarder'), [port], { ready: /^ready$/m, cpu }), to: [port] }
  })
}

/** As in the configuration file; where they are not of `type` they are unixgram. */
export type BenchTransport = { name: string; listen: string } & Record<string, unknown>

/** Starts the switch as a user would, with these transports; `to` is right for those that listen on a path. */
export function startTapswitch(transports: readonly BenchTransport[], cpu?: number, interfaces: object[] = []) {
  return launch(async directory => ({
    ...(await runTapswitch(
      directory,
      transports.map(transport => ({ type: 'unixgram', ...transport })),
      cpu,
      interfaces,
    )),
    to: transports.map(transport => join(directory, transport.listen)),
  }))
}

async function startUdp(cpu?: number) {
  return launch(async directory => {
    const port = String(await freePort())
    const udp = {
      name: 'udp',
      type: 'udp',
      listen: `127.0.0.1:${port}`,
      learnPeers: true,
      allowedSources: ['127.0.0.1'],
    }
    return { ...(await runTapswitch(directory, [udp], cpu)), to: [port] }
  })
}

/** Two networks on one socket: what comes from a remote of one is never sent to another remote of the same. */
async function startVxlan(cpu?: number) {
  return launch(async directory => {
    const port = String(await freePort())
    const networks = [1, 2].map(vni => ({
      name: `vni${vni}`,
      type: 'vxlan',
      vni,
      listen: `127.0.0.1:${port}`,
      remotes: [`127.0.0.${vni + 1}`],
    }))
    return { ...(await runTapswitch(directory, networks, cpu)), to: [port] }
  })
}

async function runTapswitch(directory: string, transports: object[], cpu?: number, interfaces: object[] = []) {
  const httpPort = await freePort()
  const config = {
    runtimeDir: directory,
    switch: { name: 'bench', maxFrameSize },
    interfaces,
    transports,
    http: { listen: `127.0.0.1:${httpPort}` },
  }
  const file = join(directory, 'bench.yaml')
  await writeFile(file, JSON.stringify(config, null, 2))
  const ready = /"msg":"ready"/
  const child = await Child.start(process.execPath, [tapswitch, 'run', '-c', file], { ready, cpu })
  return { child, httpPort }
}

export const manyPeers: BenchTransport[] = [{ name: 'vms', listen: 'vms.sock' }]
export const streams: BenchTransport[] = [{ name: 'vms', type: 'stream', listen: 'vms.sock' }]
export const onePeerEach: BenchTransport[] = [
  { name: 'vm1', listen: '1.sock', peers: 'one' },
  { name: 'vm2', listen: '2.sock', peers: 'one' },
]

function startVde(cpu?: number) {
  return launch(async directory => {
    const control = join(directory, 'vde')
    /* It reads commands from its standard input and ends when that does; Child leaves it open. */
    const child = await Child.start('vde_switch', ['-s', control], { cpu })
    for (let tries = 0; !existsSync(join(control, 'ctl')); tries++) {
      if (tries === 500) {
        await child.stop()
        throw new Error(`vde_switch: no control socket: ${child.stderr}`)
      }
      await delay(10)
    }
    return { child, to: [control] }
  })
}

function inPath(program: string): boolean {
  const { PATH = '' } = process.env
  return PATH.split(delimiter).some(folder => existsSync(join(folder, program)))
}

function missingCompiler(): string | undefined {
  if (process.platform !== 'linux') return 'the C programs are written for Linux'
  return inPath('cc') ? undefined : 'no C compiler (cc)'
}

function missingTapswitch(): string | undefined {
  return missingCompiler() ?? (existsSync(tapswitch) ? undefined : 'not built: dist/cli/main.js is missing')
}

function missingVde(): string | undefined {
  if (!inPath('vde_switch')) return 'vde_switch is not installed'
  return missingCompiler() ?? (hasVdeplug() ? undefined : 'libvdeplug.h is not installed')
}

/** All rows, in the order of the table. */
export function allRows(full: 'wait' | 'drop'): Row[] {
  const c = { group: 'c' as const, limits: [], missing: missingCompiler }
  const ours = { group: 'tapswitch' as const, missing: missingTapswitch }
  const many = (cpu?: number) => startTapswitch(manyPeers, cpu)
  const one = (cpu?: number) => startTapswitch(onePeerEach, cpu)
  return [
    { ...c, key: 'c-path', name: 'C, by path', peers: 'qemu', start: cForwarder('--by-path', full) },
    { ...c, key: 'c-connected', name: 'C, connected', peers: 'qemu', start: cForwarder('--connected', full) },
    { ...c, key: 'c-one', name: 'C, one peer a path', peers: 'qemu', start: cForwarder('--one', full) },
    { ...c, key: 'c-vfkit', name: 'C, by path, vfkit peers', peers: 'vfkit', start: cForwarder('--by-path', full) },
    { ...ours, key: 'many', name: 'tapswitch', peers: 'qemu', limits: ['c-connected', 'c-path'], start: many },
    { ...ours, key: 'one', name: 'tapswitch, `peers: one`', peers: 'qemu', limits: ['c-one'], start: one },
    { ...ours, key: 'vfkit', name: 'tapswitch, vfkit peers', peers: 'vfkit', limits: ['c-vfkit'], start: many },
    { ...c, key: 'c-stream', name: 'C, stream', peers: 'stream', start: cStreamForwarder },
    {
      ...ours,
      key: 'stream',
      name: 'tapswitch, stream',
      peers: 'stream',
      limits: ['c-stream'],
      start: cpu => startTapswitch(streams, cpu),
    },
    ...tapRows({ c, ours, launch, tapswitch }),
    { ...c, key: 'c-udp', name: 'C, UDP', peers: 'udp', start: cUdpForwarder },
    { ...ours, key: 'udp', name: 'tapswitch, udp', peers: 'udp', limits: ['c-udp'], start: startUdp },
    { ...ours, key: 'vxlan', name: 'tapswitch, vxlan', peers: 'vxlan', limits: ['udp', 'c-udp'], start: startVxlan },
    {
      key: 'vde',
      group: 'vde',
      name: 'vde_switch',
      peers: 'vde',
      limits: ['c-path'],
      /* 2.3.2 drops a 9,014-byte frame without a word. */
      largest: 1518,
      missing: missingVde,
      start: startVde,
    },
  ]
}
