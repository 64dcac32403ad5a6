/**
 * The stand-in for vmnet.framework (test/vmnet-standin), compiled when it is first wanted and kept under build/ by the
 * hash of its sources, and what a test asks of it in its own process.
 */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import koffi from 'koffi'
import { eventually } from './eventually.js'
import { projectRoot } from './project-root.js'
import type { Needs } from './requires.js'

export const standinNeeds: Needs = {
  platform: 'linux',
  commands: ['clang', 'make'],
  files: [{ path: '/usr/include/Block.h', from: 'libblocksruntime-dev' }],
}

const sourceFolder = join(projectRoot, 'test/vmnet-standin')
const buildFolder = join(projectRoot, 'build/vmnet-standin')

/** The variable that names the library to the switch, and the one whose commands the library runs when it is loaded. */
export const libraryVariable = 'TAPSWITCH_VMNET_LIBRARY'
export const commandsVariable = 'TAPSWITCH_VMNET_STANDIN'

export type StandinVariant = 'vmnet.so' | 'vmnet-classic.so'
export type StandinChecks = 'checks' | 'checks-address' | 'checks-thread'

/** The library with everything of macOS 26, or `vmnet-classic.so` without its network objects. */
export function standinLibrary(variant: StandinVariant = 'vmnet.so'): string {
  return join(built('all'), variant)
}

/**
 * A program that checks the stand-in itself: plain, with the address and undefined behaviour sanitizers, with the
 * thread's.
 */
export function standinChecks(variant: StandinChecks): string {
  return join(built('checks'), variant)
}

const folders = new Map<string, string>()

function built(target: 'all' | 'checks'): string {
  let folder = folders.get(target)
  if (folder === undefined) {
    folder = join(buildFolder, `${target}-${hashOfSources()}`)
    if (!existsSync(folder)) make(target, folder)
    folders.set(target, folder)
  }
  return folder
}

/** In a folder of this process first: two test processes may do this at the same time. */
function make(target: string, folder: string): void {
  const unfinished = `${folder}.${process.pid}`
  mkdirSync(unfinished, { recursive: true })
  try {
    execFileSync('make', ['-s', '-C', sourceFolder, `OUT=${unfinished}`, target], { stdio: ['ignore', 2, 2] })
    renameSync(unfinished, folder)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
}

function hashOfSources(): string {
  const hash = createHash('sha256')
  const names = readdirSync(sourceFolder, { recursive: true, encoding: 'utf8' }).sort()
  for (const name of names.filter(each => /\.[ch]$|^Makefile$/.test(each)))
    hash.update(name).update(readFileSync(join(sourceFolder, name)))
  return hash.digest('hex').slice(0, 16)
}

export type StandinKind =
  | 'all'
  | 'xpc'
  | 'queue'
  | 'semaphore'
  | 'block'
  | 'interface'
  | 'network'
  | 'configuration'
  | 'thread'

export type StandinCounter = 'waiting' | 'written' | 'collected' | 'dropped' | 'events' | 'reads' | 'writes'

/** What an interface was started with. */
export interface StandinInterface {
  number: number
  /** 1000 host, 1001 shared, 1002 bridged. */
  mode: number
  mtu: number
  /** Empty unless bridged. */
  bridge: string
  allocateMac: boolean
  tso: boolean
  isolation: boolean
  checksumOffload: boolean
  virtioHeader: boolean
  /** A network identifier was given. */
  ownNetwork: boolean
  hasInterfaceId: boolean
  network: null | {
    mode: number
    mtu: number
    external: string
    nat44: boolean
    nat66: boolean
    dhcp: boolean
    dnsProxy: boolean
    routerAdvertisement: boolean
    reservations: number
    rules: number
  }
}

/** The stand-in's own functions; the same library, once loaded by the product in this process, shares its state. */
export class Standin {
  readonly #calls

  constructor(path: string = standinLibrary()) {
    const library = koffi.load(path)
    this.#calls = {
      control: library.func('int standin_control(const char *commands)'),
      live: library.func('int64_t standin_live(const char *kind)'),
      created: library.func('int64_t standin_created(const char *kind)'),
      last: library.func('int standin_last_interface()'),
      inject: library.func('int standin_inject(int interface, const void *frame, size_t length, int times)'),
      take: library.func('int64_t standin_take(int interface, void *buffer, size_t capacity)'),
      count: library.func('int64_t standin_count(int interface, const char *what)'),
      describe: library.func('int64_t standin_describe(int interface, void *buffer, size_t capacity)'),
    }
  }

  /** Runs the commands that test/vmnet-standin/README.md lists, e.g. 'reset; start-status 1010 1'. */
  control(commands: string): void {
    if (this.#calls.control(commands) !== 0) throw new Error(`the stand-in does not know: ${commands}`)
  }

  live(kind: StandinKind = 'all'): number {
    return Number(this.#calls.live(kind))
  }

  created(kind: StandinKind = 'all'): number {
    return Number(this.#calls.created(kind))
  }

  /** Number of the interface that was started last in this process; 0 when none was. */
  get lastInterface(): number {
    return this.#calls.last()
  }

  /** Puts `times` copies of a frame where vmnet_read finds them; returns how many there was room for. */
  inject(frame: Uint8Array, { number = 0, times = 1 }: { number?: number; times?: number } = {}): number {
    const fitted: number = this.#calls.inject(number, frame, frame.length, times)
    if (fitted < 0) throw new Error('no such interface')
    return fitted
  }

  /** The oldest frame that vmnet_write was given and nobody has taken. */
  take(number = 0): Buffer | undefined {
    const buffer = Buffer.alloc(65_550)
    const length = Number(this.#calls.take(number, buffer, buffer.length))
    if (length < 0) throw new Error('no such interface')
    return length === 0 ? undefined : buffer.subarray(0, length)
  }

  /** -1 when there is no such interface. */
  count(what: StandinCounter, number = 0): number {
    return Number(this.#calls.count(number, what))
  }

  describe(number = 0): StandinInterface {
    const buffer = Buffer.alloc(4096)
    const length = Number(this.#calls.describe(number, buffer, buffer.length))
    if (length < 0) throw new Error('no such interface')
    return JSON.parse(buffer.toString('utf8', 0, length))
  }

  /** Resolves when nothing is left: what a handler was given is released after it has returned, on another thread. */
  async nothingLeft(timeoutMs = 10_000): Promise<void> {
    const kinds: StandinKind[] = [
      'xpc',
      'queue',
      'semaphore',
      'block',
      'interface',
      'network',
      'configuration',
      'thread',
    ]
    const left = () => kinds.map(kind => [kind, this.live(kind)] as const).filter(([, count]) => count !== 0)
    await eventually(left, each => each.length === 0, 'the stand-in holds nothing', timeoutMs)
  }
}

/** The environment of a process whose vmnet is the stand-in, which starts with these commands. */
export function standinEnvironment(commands = '', variant: StandinVariant = 'vmnet.so'): Record<string, string> {
  return { [libraryVariable]: standinLibrary(variant), [commandsVariable]: commands }
}

export interface StandinReport {
  /** Interfaces that were started, and those the process stopped. */
  started: number
  stopped: number
  /** Objects that were never released, of all kinds. */
  live: number
}

/** What a process left that had the command `report PATH` and has ended in good order. */
export function standinReport(path: string): StandinReport {
  const { started, stopped, ...kinds } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, { live: number }> & {
    started: number
    stopped: number
  }
  return { started, stopped, live: Object.values(kinds).reduce((sum, kind) => sum + kind.live, 0) }
}
