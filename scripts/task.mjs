/**
 * The tasks behind every npm script. Each works alone on a fresh clone with nothing but Node and npm: it installs and
 * builds what is missing or stale, then does its work. Plain JavaScript without dependencies, because it runs before
 * there is anything else.
 */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from './build.mjs'
import { generate } from './generate.mjs'
import { ensureInstalled, node24, root, TaskError } from './install.mjs'
import { runTests } from './test.mjs'

const tasks = {
  start: {
    help: 'build what is stale and run the switch; arguments go to "tapswitch run"',
    run: start,
  },
  build: {
    help: 'compile src/, test/ and bench/',
    run: () => build(['src', 'test', 'bench']),
  },
  test: {
    help: 'every test this machine can run; arguments keep the files whose path contains one of them',
    run: filters => {
      build(['src', 'test'])
      return runTests({ filters })
    },
  },
  'test:quick': {
    help: 'what of the unit, property and conformance tests takes under a minute together; no privileges',
    run: filters => {
      build(['src', 'test'])
      return runTests({ filters, quick: true })
    },
  },
  'test:node24': {
    help: 'the suite on Node 24 (linux-x64); --quick for the quick tests; other arguments as for test',
    run: testOnNode24,
  },
  'test:macos': {
    help: 'on a Mac, as root or with the signed node: the quick tests, and what only a Mac can show',
    run: testOnMac,
  },
  bench: {
    help: 'the benchmarks; the first argument may name one, e.g. vm-to-vm; others are passed on',
    run: bench,
  },
  check: {
    help: 'formatter, linter and compiler',
    run: () => {
      runTool('@biomejs/biome/bin/biome', ['check', '.'])
      build(['src', 'test', 'bench'])
    },
  },
  generate: {
    help: 'write what is made from the code: the JSON schema, and parts of docs/',
    run: async () => {
      build(['src'])
      await generate()
    },
  },
  format: {
    help: 'format the sources and apply the safe lint fixes',
    run: () => runTool('@biomejs/biome/bin/biome', ['check', '--write', '.']),
  },
}

/** The switch runs in this very process, so every signal and the exit code are its own. */
async function start(args) {
  build(['src'])
  await becomeProgram(join(root, 'dist/cli/main.js'), ['run', ...args])
}

async function bench(args) {
  build(['src', 'test', 'bench'])
  await becomeProgram(join(root, 'build/bench/main.js'), args)
}

async function becomeProgram(file, args) {
  process.argv.splice(1, Number.POSITIVE_INFINITY, file, ...args)
  await import(pathToFileURL(file).href)
}

function testOnNode24(args) {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    console.error(`test:node24 needs linux-x64, this is ${process.platform}-${process.arch}: nothing was run`)
    return
  }
  ensureInstalled()
  const task = args.includes('--quick') ? 'test:quick' : 'test'
  const filters = args.filter(argument => argument !== '--quick')
  passOn(spawnSync(node24(), [join(root, 'scripts/task.mjs'), task, ...filters], { stdio: 'inherit' }))
}

function testOnMac(filters) {
  if (process.platform !== 'darwin') throw new TaskError(`test:macos needs macOS, this is ${process.platform}`)
  build(['src', 'test'])
  return runTests({ filters, folders: ['unit', 'property', 'conformance', 'macos'] })
}

function runTool(path, args) {
  ensureInstalled()
  const command = join(root, 'node_modules', path)
  passOn(spawnSync(process.execPath, [command, ...args], { cwd: root, stdio: 'inherit' }))
}

/** Ends this process the way the child ended, unless the child succeeded. */
function passOn(child) {
  if (child.error) throw child.error
  if (child.status !== 0) process.exit(child.status ?? 1)
}

function usage() {
  const lines = Object.entries(tasks).map(([name, task]) => `  ${name.padEnd(14)}${task.help}`)
  console.error(`usage: node scripts/task.mjs TASK [argument ...]\n\n${lines.join('\n')}`)
  process.exit(2)
}

const [name, ...args] = process.argv.slice(2)
if (!Object.hasOwn(tasks, name ?? '')) usage()
try {
  await tasks[name].run(args)
} catch (error) {
  if (error?.code !== 'TASK_FAILED') throw error
  console.error(error.message)
  process.exit(1)
}
