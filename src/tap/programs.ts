/**
 * Programs of the system that do what is not ours to do: addresses, routes and bridges (`ip`), packet filter and NAT
 * (`nft`), DHCP and DNS (`dnsmasq`). Each is a child process with a list of arguments, never a shell; `nft` reads its
 * rules from standard input.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { OperatorError } from '../errors.js'
import { inNamespace } from './namespace.js'

/** What to install where a program is missing. */
const packages = {
  ip: { debian: 'iproute2', fedora: 'iproute' },
  nft: { debian: 'nftables', fedora: 'nftables' },
  dnsmasq: { debian: 'dnsmasq-base', fedora: 'dnsmasq' },
  setpriv: { debian: 'util-linux', fedora: 'util-linux' },
} as const

export type Program = keyof typeof packages

/** A user's PATH may lack these, and root's in a container too. */
export const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin', '/usr/local/sbin', '/usr/bin', '/bin']

/** Full path of a program; undefined when it is not installed. */
export function findProgram(program: Program): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(folder => folder !== ''), ...SYSTEM_FOLDERS]
  return folders.map(folder => join(folder, program)).find(isExecutable)
}

export function installAdvice(program: Program): string {
  const { debian, fedora } = packages[program]
  return `apt install ${debian} (Debian), dnf install ${fedora} (Fedora)`
}

/** Throws OperatorError when one of them is not installed. `why` is what needs it, e.g. `mode: shared`. */
export function requirePrograms(programs: readonly Program[], why: string): void {
  for (const program of programs) {
    if (findProgram(program) !== undefined) continue
    throw new OperatorError(`${why} needs the program "${program}", which is not installed: ${installAdvice(program)}`)
  }
}

/** What a program said before it failed. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError'
  /** The program and its arguments. */
  readonly command: string
  /** The first line it wrote to standard error, or how it ended. */
  readonly said: string

  constructor(program: Program, args: readonly string[], said: string) {
    super(`${program} ${args.join(' ')}: ${said}`)
    this.command = `${program} ${args.join(' ')}`
    this.said = said
  }
}

/** Milliseconds; each of these calls takes some five. */
const TIMEOUT_MS = 20_000

export interface RunOptions {
  /** Where it runs; null: where we are. */
  netns: string | null
  input?: string
}

/** Runs a program to its end and returns what it wrote to standard output. Throws ProgramError. */
export function runProgram(program: Program, args: readonly string[], options: RunOptions): Promise<string> {
  const child = spawnProgram(program, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS }, options.netns)
  return new Promise((resolve, reject) => {
    let output = ''
    let errors = ''
    child.stdout?.on('data', bytes => {
      output += bytes
    })
    child.stderr?.on('data', bytes => {
      errors += bytes
    })
    // It may end before it has read what we write; how it ended says more.
    child.stdin?.on('error', () => {})
    child.once('error', error => reject(new ProgramError(program, args, error.message)))
    child.once('close', (code, signal) => {
      if (code === 0) resolve(output)
      else reject(new ProgramError(program, args, firstLine(errors) ?? `ended by ${signal ?? `exit code ${code}`}`))
    })
    child.stdin?.end(options.input ?? '')
  })
}

/** Starts a program in a namespace, which it inherits from the thread that forks. */
export function spawnProgram(
  program: Program,
  args: readonly string[],
  options: SpawnOptions,
  netns: string | null,
): ChildProcess {
  const path = findProgram(program) ?? program
  // Messages are shown, and matched by tests, in English.
  const env = { PATH: SYSTEM_FOLDERS.join(delimiter), LC_ALL: 'C' }
  return inNamespace(netns, () => spawn(path, args, { env, cwd: '/', ...options }))
}

export function firstLine(text: string): string | undefined {
  return text
    .split('\n')
    .map(line => line.trim())
    .find(line => line !== '')
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
