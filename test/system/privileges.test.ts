/** A switch that root starts and that goes on as somebody else. */
import assert from 'node:assert/strict'
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import { SwitchProcess } from '../support/switch-process.js'
import { standinEnvironment, standinNeeds, standinReport } from '../support/vmnet-standin.js'

const NOBODY = 65_534
const vms = { name: 'vms', type: 'unixgram', listen: 'vms.sock', permissions: '0660' }
const uplink = { name: 'uplink', type: 'vmnet', mode: 'shared' }
const nobody = { user: 'nobody' }

describe('a switch that gives up root', { ...requirements({ ...standinNeeds, root: true }), timeout: 120_000 }, () => {
  let lab: Lab
  beforeEach(async () => {
    lab = await Lab.open()
  })
  afterEach(() => lab.close())

  const start = (config: object) =>
    lab.startSwitch(
      { process: nobody, ...config },
      { env: standinEnvironment(`report ${lab.path('report')}; backend echo`) },
    )

  it('has it in no thread any more, nor a group or a capability of it', async () => {
    const running = await start({ transports: [vms] })
    const threads = readdirSync(`/proc/${running.pid}/task`)
    assert.ok(threads.length > 2)
    for (const thread of threads) {
      const status = readFileSync(`/proc/${running.pid}/task/${thread}/status`, 'utf8')
      const field = (name: string) => new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm').exec(status)?.[1]?.split(/\s+/)
      assert.deepEqual(field('Uid'), Array(4).fill(String(NOBODY)))
      assert.deepEqual(field('Gid'), Array(4).fill(String(NOBODY)))
      assert.ok(!field('Groups')?.includes('0'))
      assert.deepEqual([field('CapEff'), field('CapPrm')], [['0000000000000000'], ['0000000000000000']])
    }
  })

  it('starts no program that gains rights by a set-user-ID bit', async () => {
    const running = await start({ transports: [vms] })
    const withoutNew = readdirSync(`/proc/${running.pid}/task`).filter(thread =>
      /^NoNewPrivs:\s+1$/m.test(readFileSync(`/proc/${running.pid}/task/${thread}/status`, 'utf8')),
    )
    // The main thread, which starts programs, and those made after the first lines of the program: the data plane's.
    assert.ok(withoutNew.includes(String(running.pid)))
    assert.ok(withoutNew.length > 1)
  })

  it('goes on with its sockets and its interface, and removes both at the end', async () => {
    const running = await start({ transports: [vms], interfaces: [uplink], http: { listen: 'api.sock' } })
    for (const name of ['vms.sock', 'api.sock']) assert.equal(statSync(lab.path(name)).uid, NOBODY, name)
    assert.equal(statSync(lab.path('vms.sock')).mode & 0o777, 0o660)
    const alice = lab.qemu('alice.sock', 'vms.sock')
    // As with any peer that binds a path, the switch must be allowed to write to it.
    chownSync(lab.path('alice.sock'), NOBODY, NOBODY)
    await alice.send(frame(BOB, ALICE, 100))
    assert.deepEqual(Buffer.from(await alice.receive()), Buffer.from(frame(ALICE, BOB, 100)))
    assert.deepEqual(await running.stop(), { code: 0, signal: null })
    assert.ok(!existsSync(lab.path('vms.sock')) && !existsSync(lab.path('api.sock')))
    const { started, stopped, live } = standinReport(lab.path('report'))
    assert.deepEqual([started, stopped, live], [1, 1, 0])
  })

  it('opens by reloads what its new user may, and says what it may not', async () => {
    const running = await start({ transports: [vms] })
    const http = { listen: '127.0.0.1:0' }
    const more = { name: 'more', type: 'unixgram', listen: 'more.sock' }
    assert.match(
      (await running.reload({ process: nobody, transports: [vms, more], http })).msg,
      /^configuration reloaded/,
    )
    assert.equal(statSync(lab.path('more.sock')).uid, NOBODY)
    const root = { name: 'root', type: 'unixgram', listen: '/root-only.sock' }
    assert.match((await running.reload({ process: nobody, transports: [vms, root], http })).msg, /not reloaded/)
    const line = await running.reload({ transports: [vms], http })
    assert.ok((line['needsRestart'] as string[]).includes('process'))
  })

  it('hands its path over to a new socket when a client connects', async () => {
    await start({ transports: [vms] })
    const alice = lab.vfkit('a.sock', 'vms.sock')
    chownSync(lab.path('a.sock'), NOBODY, NOBODY)
    const inode = statSync(lab.path('vms.sock')).ino
    await alice.send(frame(BOB, ALICE))
    await eventually(
      () => statSync(lab.path('vms.sock')),
      ({ ino }) => ino !== inode,
      'another socket has the path',
    )
    assert.equal(statSync(lab.path('vms.sock')).uid, NOBODY)
    const bob = lab.qemu('b.sock', 'vms.sock')
    chownSync(lab.path('b.sock'), NOBODY, NOBODY)
    await bob.send(frame(ALICE, BOB, 77))
    assert.equal((await alice.receive()).length, 77)
  })

  it('starts again in the directory that it gave away', async () => {
    const first = await start({ transports: [vms] })
    await first.kill9()
    await start({ transports: [vms] })
  })

  it('warns of a socket that it will not be able to remove', async () => {
    const outside = `/tmp/tsw-${process.pid}-dir`
    mkdirSync(outside, { mode: 0o755 })
    try {
      const running = await start({ transports: [{ ...vms, listen: `${outside}/vms.sock` }] })
      assert.ok(running.log.some(({ msg }) => /cannot be removed at the end/.test(msg)))
      await running.stop()
    } finally {
      rmSync(outside, { recursive: true })
    }
  })
})

describe('a switch that is to go on as somebody else', requirements({ root: true, commands: ['setpriv'] }), () => {
  it('and was not started by root refuses, before it opens anything', async () => {
    const lab = await Lab.open()
    try {
      const through = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
      chmodSync(lab.folder, 0o755)
      const config = { process: { user: 'daemon' }, transports: [vms], runtimeDir: `/tmp/tsw-${process.pid}-none` }
      const { code, errors } = await SwitchProcess.refused(lab.folder, config, { through })
      assert.equal(code, 1)
      assert.match(
        JSON.stringify(errors),
        /process.user: 1 is another user, and only root can become another; this is user 65534/,
      )
      assert.ok(!existsSync(config.runtimeDir))
    } finally {
      await lab.close()
    }
  })
})
