/** What doctor asks of the machine. An interface, so that other machines can be shown to it. */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, lstatSync, readFileSync, type Stats, statSync } from 'node:fs'
import { replaceableProblem } from '../control/runtime-dir.js'

export interface Machine {
  readonly platform: NodeJS.Platform
  readonly nodeVersion: string
  readonly uid: number
  /** Text of a file; undefined when it cannot be read. */
  read(path: string): string | undefined
  stat(path: string): Pick<Stats, 'isDirectory' | 'uid' | 'mode'> | undefined
  /** The same of a link itself. */
  lstat(path: string): Pick<Stats, 'isDirectory' | 'uid' | 'mode'> | undefined
  /** Why another user could put another directory in the place of this one; undefined where none could. */
  replaceableProblem(path: string): string | undefined
  /** May this process read and write it? */
  isAccessible(path: string): boolean
  /** What a program prints; undefined when it fails. */
  output(program: string, args: readonly string[]): string | undefined
  /** Loads the binding to the C library. */
  loadNativeLibrary(): Promise<unknown>
  /** Loads libslirp; rejects with OperatorError where there is none. */
  loadSlirp(): Promise<{ readonly version: string; readonly file: string }>
  /** Loads libpcap; rejects with OperatorError where there is none. */
  loadPcap(): Promise<{ readonly version: string; readonly file: string }>
  /** 0 where there is no Landlock. */
  landlockVersion(): Promise<number>
  /**
   * Interfaces that vmnet's bridged mode can join; undefined where there is no vmnet. Rejects when it does not load.
   */
  bridgeableInterfaces(): Promise<readonly string[] | undefined>
  /** The program that runs this one. */
  readonly executable: string
}

export const realMachine: Machine = {
  platform: process.platform,
  nodeVersion: process.versions.node,
  uid: process.getuid?.() ?? 0,
  read: path => attempt(() => readFileSync(path, 'utf8')),
  stat: path => attempt(() => statSync(path)),
  lstat: path => attempt(() => lstatSync(path)),
  replaceableProblem: path => replaceableProblem(path, process.getuid?.() ?? 0),
  isAccessible: path => attempt(() => accessSync(path, constants.R_OK | constants.W_OK) ?? true) ?? false,
  output: (program, args) =>
    attempt(() =>
      execFileSync(program, args, { encoding: 'utf8', timeout: 5000, stdio: ['ignore', 'pipe', 'ignore'] }),
    ),
  loadNativeLibrary: () => import('../os/libc.js'),
  loadSlirp: async () => (await import('../slirp/library.js')).loadSlirp(),
  loadPcap: async () => (await import('../os/pcap.js')).loadPcap(),
  landlockVersion: async () => (await import('../os/sandbox/landlock.js')).landlockVersion(),
  bridgeableInterfaces: async () => {
    const { vmnetLibraryPath } = await import('../vmnet/library.js')
    if (vmnetLibraryPath() === undefined) return undefined
    const { bridgeableInterfaces } = await import('../vmnet/bridges.js')
    return bridgeableInterfaces()
  },
  executable: process.execPath,
}

function attempt<Result>(act: () => Result): Result | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}

/** Numbers of capabilities(7). */
const capabilities = { CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n }

/** Whether this process has it; Linux only. */
export function hasCapability(machine: Machine, name: keyof typeof capabilities): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(machine.read('/proc/self/status') ?? '')?.[1]
  return mask !== undefined && ((BigInt(`0x${mask}`) >> capabilities[name]) & 1n) === 1n
}
