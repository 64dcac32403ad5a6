/**
 * Compiles the benchmark's C programs where they are used, so that the limit is measured with this machine's compiler,
 * kernel headers and libraries. Binaries are kept in `.cache/bench/` under a hash of everything they are made from.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The project's root: this file runs as build/bench/compile.js. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

const sources = join(root, 'bench', 'c')
const cache = join(root, '.cache', 'bench')
const flags = ['-O2', '-Wall', '-Wextra']

export type Program = 'forwarder' | 'stream-forwarder' | 'tap-forwarder' | 'udp-forwarder' | 'vmnet' | 'load' | 'scrape'

/** The program that moves bytes in test VMs, for this side. */
export const netbenchSource = join(root, 'test', 'support', 'guest', 'netbench.c')

/** A program that cannot be built here, and why: rows that need it are skipped with this reason. */
export class CannotCompile extends Error {
  override readonly name = 'CannotCompile'
}

function hasHeader(header: string): boolean {
  const input = `#include <${header}>\n`
  return spawnSync('cc', ['-E', '-x', 'c', '-', '-o', '/dev/null'], { input, timeout: 30_000 }).status === 0
}

/** Whether `load` is built with libvdeplug. */
export function hasVdeplug(): boolean {
  return hasHeader('libvdeplug.h')
}

/** Returns the path of the compiled program. Throws `CannotCompile`. */
export function compile(program: Program): string {
  const libraries =
    program === 'load' && hasVdeplug() ? ['-DWITH_VDE', '-lvdeplug'] : program === 'vmnet' ? ['-ldl'] : []
  const hash = createHash('sha256')
  for (const file of readdirSync(sources).sort()) {
    if (file.endsWith('.h') || file === `${program}.c`) hash.update(file).update(readFileSync(join(sources, file)))
  }
  hash.update([...flags, ...libraries, process.arch].join(' '))
  const binary = join(cache, `${program}-${hash.digest('hex').slice(0, 16)}`)
  if (existsSync(binary)) return binary

  mkdirSync(cache, { recursive: true })
  const unfinished = `${binary}.${process.pid}`
  const source = join(sources, `${program}.c`)
  const result = spawnSync('cc', [...flags, source, '-o', unfinished, ...libraries], {
    encoding: 'utf8',
    timeout: 120_000,
  })
  if (result.error) throw new CannotCompile(`no C compiler: ${result.error.message}`)
  if (result.status !== 0) throw new CannotCompile(`cc failed on ${program}.c: ${result.stderr.trim()}`)
  renameSync(unfinished, binary)
  return binary
}
