/**
 * The rows of a TAP: from a station behind it to a VM on a unix socket, and the other way round, each beside a C program that makes the
 * same calls. The station is a packet socket on the TAP; a TAP has no way to hold it back, so what it sends too fast is lost
 * before the forwarder reads it.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Child } from './child.js'
import { compile } from './compile.js'
import type { Launch, Row } from './forwarders.js'

const device = 'tap0'
const mtu = 9000
const fromTap = (path: string) => [`device:${device}`, path]
const toTap = (path: string) => [path, `device:${device}`]

export interface TapRowParts {
  c: Pick<Row, 'group' | 'limits' | 'missing'>
  ours: Pick<Row, 'group' | 'missing'>
  launch: (start: Launch) => ReturnType<Row['start']>
  /** Path of the program. */
  tapswitch: string
}

export function tapRows({ c, ours, launch, tapswitch }: TapRowParts): Row[] {
  type Way = (path: string) => string[]
  const startC = (way: Way) => (cpu?: number) =>
    launch(async directory => {
      const path = join(directory, 'vm.sock')
      const child = await Child.start(compile('tap-forwarder'), [device, String(mtu), path], { ready: /^ready$/m, cpu })
      return { child, to: way(path) }
    })
  const startOurs = (way: Way) => (cpu?: number) =>
    launch(async directory => {
      const config = {
        runtimeDir: directory,
        switch: { name: 'bench', maxFrameSize: mtu + 18 },
        interfaces: [{ name: 'host', type: 'tap', mode: 'host', device, mtu }],
        transports: [{ name: 'vm', type: 'unixgram', listen: 'vm.sock', peers: 'one' }],
        http: false,
      }
      const file = join(directory, 'bench.yaml')
      await writeFile(file, JSON.stringify(config, null, 2))
      const child = await Child.start(process.execPath, [tapswitch, 'run', '-c', file], { ready: /"msg":"ready"/, cpu })
      return { child, to: way(join(directory, 'vm.sock')) }
    })
  const needs = (row: Pick<Row, 'missing'>) => ({ missing: () => row.missing() ?? missingRoot() })
  const qemu = { peers: 'qemu' as const, largest: mtu + 14 }
  return [
    { ...c, ...needs(c), ...qemu, key: 'c-from-tap', name: 'C, TAP to unixgram', start: startC(fromTap) },
    { ...c, ...needs(c), ...qemu, key: 'c-to-tap', name: 'C, unixgram to TAP', start: startC(toTap) },
    {
      ...{ ...ours, ...needs(ours), ...qemu, key: 'from-tap', name: 'tapswitch, TAP to unixgram' },
      ...{ limits: ['c-from-tap'], start: startOurs(fromTap) },
    },
    {
      ...{ ...ours, ...needs(ours), ...qemu, key: 'to-tap', name: 'tapswitch, unixgram to TAP' },
      ...{ limits: ['c-to-tap'], start: startOurs(toTap) },
    },
  ]
}

/** In a namespace of the benchmark's own, which only root gets, a device of any name is free. */
function missingRoot(): string | undefined {
  return process.getuid?.() === 0 ? undefined : 'a TAP needs root'
}
