/** Code that runs in the switch after a fault of ours: what it reaches of the host's files. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { landlockVersion } from '#src/os/sandbox/landlock.js'
import { Api } from '../../support/api.js'
import { Lab } from '../../support/lab.js'
import { requirements } from '../../support/requires.js'
import type { SwitchProcess } from '../../support/switch-process.js'

const linux = requirements({ platform: 'linux' })
const landlock = linux.skip ? linux : { skip: landlockVersion() === 0 && 'needs a kernel with Landlock' }

/** Runs in the main thread of the switch on SIGUSR2, and says on stderr what each attempt came to. */
const intruder = (folder: string) => `
  import { spawnSync } from 'node:child_process'
  import fs from 'node:fs'
  import { once } from 'node:events'
  import { isMainThread, Worker } from 'node:worker_threads'

  const secret = '${folder}/secret'
  const fresh = '${folder}/fresh'
  const program = { async run() {
    const said = {}
    const attempt = async (what, act) => {
      try { await act(); said[what] = 'ok' } catch (error) { said[what] = error.code ?? error.message }
    }
    await attempt('read', () => fs.readFileSync(secret))
    await attempt('write', () => fs.writeFileSync(secret, 'x'))
    await attempt('make', () => fs.writeFileSync(fresh, 'x'))
    await attempt('remove', () => fs.unlinkSync(secret))
    await attempt('list', () => fs.readdirSync('${folder}'))
    // More than the pool has threads, so that each of them is asked.
    const reads = await Promise.allSettled(Array.from({ length: 16 }, () => fs.promises.readFile(secret)))
    said['read in the pool'] = [...new Set(reads.map(({ reason }) => reason?.code ?? 'ok'))].join()
    await attempt('read in a thread', async () => {
      const worker = new Worker("require('node:fs').readFileSync('" + secret + "')", { eval: true })
      await once(worker, 'exit')
    })
    await attempt('read in a program', () => {
      const { status, error } = spawnSync('/bin/cat', [secret])
      if (error || status !== 0) throw error ?? Object.assign(new Error(), { code: 'exit ' + status })
    })
    await attempt('run a program of its own', () => {
      fs.writeFileSync(process.env.RUNTIME_DIR + '/program', '#!/bin/sh\\n', { mode: 0o700 })
      const { error } = spawnSync(process.env.RUNTIME_DIR + '/program')
      if (error) throw error
    })
    await attempt('read /etc/hosts', () => fs.readFileSync('/etc/hosts'))
    console.error(JSON.stringify({ msg: 'intruder', said }))
  } }
  if (isMainThread) process.on('SIGUSR2', () => void program.run())
`

describe('code in the switch, with Landlock', { ...landlock, timeout: 120_000 }, () => {
  let elsewhere: string
  let lab: Lab
  before(() => {
    elsewhere = mkdtempSync(join(tmpdir(), 'tapswitch-victim-'))
  })
  after(() => rmSync(elsewhere, { recursive: true, force: true }))
  beforeEach(async () => {
    lab = await Lab.open()
    writeFileSync(join(elsewhere, 'secret'), 'of the host')
    writeFileSync(join(lab.folder, 'intruder.mjs'), intruder(elsewhere))
  })
  afterEach(() => lab.close())

  const start = (config: object): Promise<SwitchProcess> =>
    lab.startSwitch(config, {
      env: { NODE_OPTIONS: `--import ${join(lab.folder, 'intruder.mjs')}`, RUNTIME_DIR: lab.folder },
    })

  async function intrude(running: SwitchProcess): Promise<Record<string, string>> {
    running.kill('SIGUSR2')
    const { said } = await running.logged(({ msg }) => msg === 'intruder')
    return said as Record<string, string>
  }

  it('reaches no file elsewhere, by its own thread, the pool, new threads or programs', async () => {
    const running = await start({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
    assert.deepEqual(await intrude(running), {
      read: 'EACCES',
      write: 'EACCES',
      make: 'EACCES',
      remove: 'EACCES',
      list: 'EACCES',
      'read in the pool': 'EACCES',
      'read in a thread': 'EACCES',
      'read in a program': 'exit 1',
      'run a program of its own': 'EACCES',
      'read /etc/hosts': 'ok',
    })
    assert.ok(!existsSync(join(elsewhere, 'fresh')))
  })

  it('reaches them with process.sandbox: off', async () => {
    const running = await start({ transports: [], process: { sandbox: 'off' } })
    const said = await intrude(running)
    assert.equal(said.read, 'ok')
    assert.equal(said.make, 'ok')
  })

  it('is told by a reload and by the API what lies outside, and nothing changes', async () => {
    const later = join(elsewhere, 'later')
    const before = {
      http: { listen: '127.0.0.1:0', allowedPaths: [later] },
      transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }],
    }
    const running = await start(before)
    const api = new Api(running.url)
    mkdirSync(later, { mode: 0o700 })
    const outside = { name: 'more', type: 'unixgram', listen: join(later, 'more.sock') }
    const refusal = /later\/more\.sock" is outside the sandbox, .*; restart the switch, or set process\.sandbox: off/

    const { problem } = await running.reload({ ...before, transports: [...before.transports, outside] })
    assert.match(String(problem), refusal)
    const { json } = await api.post('/v1/transports', outside)
    assert.match(JSON.stringify(json).replaceAll('\\"', '"'), refusal)
    const listing = await api.get('/v1/transports')
    assert.deepEqual(
      listing.json.transports.map(({ name }: { name: string }) => name),
      ['vms'],
    )
    assert.ok(!existsSync(outside.listen))
  })
})
