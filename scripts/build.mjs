/**
 * Incremental compilation with `tsc -b`, made safe against what tsc cannot see: an output whose source was removed would
 * still be imported or tested, and an output that was removed would be taken for present, because tsc trusts its
 * .tsbuildinfo file.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ensureInstalled, root, TaskError } from './install.mjs'

const projects = { src: 'dist', test: 'build/test', bench: 'build/bench' }
const outputSuffixes = ['.js', '.js.map', '.d.ts', '.d.ts.map']

/** Compiles the named projects and those they refer to. */
export function build(names) {
  ensureInstalled()
  for (const [source, output] of Object.entries(projects)) tidy(source, output)
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const child = spawnSync(process.execPath, [tsc, '-b', ...names], { cwd: root, stdio: ['ignore', 2, 2] })
  if (child.error) throw child.error
  if (child.status !== 0) throw new TaskError('the compiler found errors')
}

function tidy(source, output) {
  const sources = new Set(filesUnder(source, '.ts').map(file => file.slice(0, -'.ts'.length)))
  const outputs = new Set(filesUnder(output, ''))
  for (const file of outputs) {
    const suffix = outputSuffixes.findLast(candidate => file.endsWith(candidate))
    if (suffix && !sources.has(file.slice(0, -suffix.length))) rmSync(join(root, output, file))
  }
  if ([...sources].some(file => !outputs.has(`${file}.js`))) rmSync(join(root, output, '.tsbuildinfo'), { force: true })
}

/** Paths relative to `folder`, of the files whose name ends with `suffix`. */
function filesUnder(folder, suffix) {
  const path = join(root, folder)
  if (!existsSync(path)) return []
  return readdirSync(path, { recursive: true }).filter(file => file.endsWith(suffix))
}
