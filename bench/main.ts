/**
 * What `npm run bench` runs: every benchmark in turn, each a program of its own, as one Markdown document on standard
 * output; progress goes to standard error.
 *
 *   npm run bench                                   all of them, the better part of an hour
 *   npm run bench -- --qlen 10                      all of them, with another max_dgram_qlen
 *   npm run bench -- forwarding --sizes 64,1514     one of them, with its own options
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from './compile.js'
import { enterNamespace, heading } from './machine.js'

interface Benchmark {
  name: string
  /** Given where the program prints nothing but its tables. */
  title?: string
  /** It reads the common options, `--qlen` among them. */
  common: boolean
}

const benchmarks: Benchmark[] = [
  { name: 'forwarding', common: true },
  { name: 'websocket', common: true },
  { name: 'vmnet', common: true },
  { name: 'scrape', common: true },
  { name: 'control-plane', common: true },
  { name: 'soak', common: true },
  { name: 'filters', title: 'Capture filters', common: false },
  { name: 'growth', title: 'The cost of growth', common: false },
  { name: 'vm-to-vm', title: 'VM to VM', common: false },
  { name: 'slirp', title: 'VM to host by NAT', common: false },
]

function run(name: string, args: string[]): Promise<number> {
  const child = spawn(process.execPath, [join(root, 'build', 'bench', `${name}.js`), ...args], { stdio: 'inherit' })
  const forward = (signal: NodeJS.Signals) => child.kill(signal)
  process.on('SIGINT', forward).on('SIGTERM', forward)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      process.off('SIGINT', forward).off('SIGTERM', forward)
      resolve(signal ? 1 : (code ?? 1))
    })
  })
}

async function runAll(): Promise<void> {
  const { values } = parseArgs({ options: { qlen: { type: 'string', default: '512' } } })
  const qlen = Number(values.qlen)
  if (!Number.isInteger(qlen) || qlen < 1) throw new Error('--qlen: a whole number, at least 1')
  await enterNamespace(qlen)
  for (const { name, title, common } of benchmarks) {
    if (!existsSync(join(root, 'build', 'bench', `${name}.js`))) {
      console.log(`- not measured: ${name}: not built\n`)
      continue
    }
    if (title) console.log(`## ${title}\n\n${heading(`npm run bench -- ${name}`)}`)
    const status = await run(name, common ? ['--qlen', values.qlen] : [])
    if (title) console.log('')
    if (status === 0) continue
    console.log(`- ${name} failed with status ${status}\n`)
    process.exitCode = 1
  }
}

const [first, ...rest] = process.argv.slice(2)
if (first !== undefined && !first.startsWith('-')) {
  const benchmark = benchmarks.find(({ name }) => name === first)
  if (benchmark) process.exitCode = await run(first, rest)
  else {
    console.error(`no benchmark named ${first}; there are: ${benchmarks.map(({ name }) => name).join(', ')}`)
    process.exitCode = 2
  }
} else await runAll()
