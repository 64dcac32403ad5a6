/**
 * Runs the compiled tests with node:test's own runner and reporter. Files that need nothing but a process run side by
 * side; every other folder (system tests: namespaces, VMs, sockets with fixed paths) runs one file at a time after
 * them. The two runs reach the reporter as one stream, so there is one list of failures and one set of closing lines.
 *
 * TAPSWITCH_NO_SKIPS=1 turns every skipped test into a failure and lists it with its reason.
 */

import { setMaxListeners } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, sep } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { root, TaskError } from './install.mjs'

const concurrentFolders = ['unit', 'property', 'conformance', 'fuzz']
const quickFolders = ['unit', 'property']
/** The conformance suite takes seconds for each transport; with these every part of the data plane has run once. */
const quickConformance = ['memory', 'udp-single', 'unixgram-many-qemu'].map(name =>
  join('conformance', `${name}.test.js`),
)
/** Files that take seconds: real sockets against real clocks, libraries in other threads, compilers. */
const slow = [
  ...['stream', 'udp', 'vxlan', 'joined', join('websocket', 'served'), join('websocket', 'dialled')].map(name =>
    join('unit', 'transports', `${name}.test.js`),
  ),
  ...['thread', 'library'].map(name => join('unit', 'slirp', `${name}.test.js`)),
  ...['vmnet-interface', 'endpoint', 'library', 'network', 'busy-main-thread'].map(name =>
    join('unit', 'vmnet', `${name}.test.js`),
  ),
  ...['fdb-reader', 'allocation'].map(name => join('unit', 'switch', `${name}.test.js`)),
  join('unit', 'project', 'tasks.test.js'),
  join('unit', 'http', 'openapi.test.js'),
]
/** Folders whose tests are no test of the product anywhere else, so that elsewhere they are not even skipped. */
const platformOf = { macos: 'darwin' }
const timeoutMs = { concurrent: 120_000, serial: 360_000 }
const testsFolder = join(root, 'build/test')

/**
 * @param {{ filters: string[], quick?: boolean, folders?: string[] }} options `filters`: a file runs when its path contains one of
 *   them; empty means all. `quick`: only what together takes less than a minute. `folders`: only files in these.
 */
export async function runTests({ filters, folders, quick = false }) {
  const files = testFiles(folders, filters).filter(file => !quick || isQuick(file))
  if (files.length === 0) throw new TaskError(`no test file's path contains ${filters.join(' or ')}`)
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --enable-source-maps`.trim()

  const outcome = { failed: 0, skipped: [] }
  await pipeline(Readable.from(events(files, outcome)), new spec(), process.stdout, { end: false })

  const refused = process.env.TAPSWITCH_NO_SKIPS === '1' ? outcome.skipped : []
  if (refused.length > 0) console.error(`\nTAPSWITCH_NO_SKIPS=1 and these were skipped:\n${refused.join('\n')}`)
  if (outcome.failed + refused.length > 0) process.exitCode = 1
}

function testFiles(folders, filters) {
  if (!existsSync(testsFolder)) return []
  return readdirSync(testsFolder, { recursive: true })
    .filter(file => file.endsWith('.test.js'))
    .filter(file => folders === undefined || folders.includes(folderOf(file)))
    .filter(file => (platformOf[folderOf(file)] ?? process.platform) === process.platform)
    .filter(file => filters.length === 0 || filters.some(filter => file.includes(filter)))
    .sort()
}

const folderOf = file => file.split(sep)[0]

const isQuick = file =>
  quickConformance.includes(file) || (quickFolders.includes(folderOf(file)) && !slow.includes(file))

/** The events of both runs in the form the reporter expects, as if one runner had run every file. */
async function* events(files, outcome) {
  const concurrent = files.filter(file => concurrentFolders.includes(folderOf(file)))
  const serial = files.filter(file => !concurrentFolders.includes(folderOf(file)))
  const totals = new Map()
  if (concurrent.length > 0) yield* oneRun(concurrent, timeoutMs.concurrent, outcome, totals)
  for (const file of serial) yield* oneRun([file], timeoutMs.serial, outcome, totals)
  for (const [name, value] of totals)
    yield { type: 'test:diagnostic', data: { nesting: 0, level: 'info', message: `${name} ${value}` } }
}

/** `timeout` bounds a file on Node 20 and a test on later versions, which then wait for the file's process; the watchdog does not. */
async function* oneRun(files, timeout, outcome, totals) {
  const abort = new AbortController()
  // The runner adds a listener a file, which Node would take for a leak.
  setMaxListeners(0, abort.signal)
  const stop = () => abort.abort()
  for (const signal of stopSignals) process.once(signal, stop)
  const watchdog = setTimeout(stop, timeout * 1.25)
  const paths = files.map(file => join(testsFolder, file))
  for await (const event of run({ files: paths, concurrency: availableParallelism(), timeout, signal: abort.signal })) {
    watchdog.refresh()
    if (addToTotals(event, totals)) continue
    note(event, outcome)
    yield event
  }
  clearTimeout(watchdog)
  for (const signal of stopSignals) process.removeListener(signal, stop)
}

const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** Whether the event was one of the runner's own closing lines ("tests 12"), whose numbers are added up here. */
function addToTotals({ type, data }, totals) {
  if (type === 'test:summary') return true
  const line =
    type === 'test:diagnostic' && data.nesting === 0 && data.file === undefined && closingLine.exec(data.message)
  if (!line) return false
  totals.set(line[1], (totals.get(line[1]) ?? 0) + Number(line[2]))
  return true
}

const closingLine = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/

function note({ type, data }, outcome) {
  if (type === 'test:fail' && data.todo === undefined) outcome.failed++
  if (type !== 'test:pass' || data.skip === undefined) return
  const reason = typeof data.skip === 'string' && data.skip !== '' ? data.skip : 'no reason given'
  outcome.skipped.push(`  ${relative(testsFolder, data.file ?? '')}: ${data.name}: ${reason}`)
}
