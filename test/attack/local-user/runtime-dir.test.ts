/** Another user of the machine, and the folder that sockets are in: made first, put in its place, looked into. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { Lab } from '../../support/lab.js'
import { projectRoot } from '../../support/project-root.js'
import { requirements } from '../../support/requires.js'
import { SwitchProcess } from '../../support/switch-process.js'

const MALLORY = 65_534
const program = join(projectRoot, 'dist/cli/main.js')
const needs = requirements({ platform: 'linux', root: true, commands: ['setpriv', 'mkdir', 'mv', 'ln'] })
const vms = { name: 'vms', type: 'unixgram', listen: 'vms.sock' }
const asMallory = (...command: string[]) =>
  execFileSync('setpriv', ['--reuid', `${MALLORY}`, '--regid', `${MALLORY}`, '--clear-groups', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  })

describe('a runtime directory that another user had a hand in', { ...needs, timeout: 60_000 }, () => {
  let lab: Lab
  let shared: string

  before(async () => {
    lab = await Lab.open()
  })
  beforeEach(() => {
    // As /tmp: every user may make entries in it, and only the owner of an entry may move it.
    shared = mkdtempSync('/tmp/tsw-shared-')
    chmodSync(shared, 0o1777)
  })
  afterEach(() => rmSync(shared, { recursive: true }))
  after(() => lab.close())

  async function refused(runtimeDir: string, reason: RegExp): Promise<void> {
    const config = { runtimeDir, transports: [vms], http: false }
    const { code, errors } = await SwitchProcess.refused(lab.folder, config)
    assert.equal(code, 1)
    assert.equal(errors.length, 1)
    assert.match(errors[0]?.msg ?? '', reason)
    // Doctor says what the start would say.
    const { stdout, status } = spawnSync(process.execPath, [program, 'doctor', '--json', '-c', lab.path('switch.yaml')])
    const { findings } = JSON.parse(String(stdout)) as { findings: { name: string; status: string; text: string }[] }
    const found = findings.find(({ name }) => name === 'runtime directory')
    assert.deepEqual([status, found?.status], [1, 'fail'])
    assert.match(`runtimeDir: ${found?.text}`, reason)
  }

  it('is refused when that user made it first, and left as it is', async () => {
    const path = join(shared, 'tapswitch-0')
    asMallory('mkdir', '-m', '0700', path)
    await refused(path, /^runtimeDir: ".*tapswitch-0" belongs to user 65534, must be ours \(user 0\); set another/)
    assert.equal(statSync(path).uid, MALLORY)
    assert.deepEqual(readdirSync(path), [])
  })

  it('is refused when that user made a link there, to a folder of ours', async () => {
    const path = join(shared, 'tapswitch-0')
    const ours = join(shared, 'ours')
    mkdirSync(ours, { mode: 0o700 })
    asMallory('ln', '-s', ours, path)
    await refused(path, /^runtimeDir: ".*tapswitch-0" is not a directory$/)
    assert.deepEqual(readdirSync(ours), [])
  })

  it('is refused below a folder where that user could put another one in its place', async () => {
    const path = join(shared, 'open/tapswitch-0')
    mkdirSync(join(shared, 'open'))
    chmodSync(join(shared, 'open'), 0o777)
    await refused(path, /can be replaced by another user: ".*\/open" may be written by others; set another runtimeDir$/)
    assert.ok(!existsSync(path))
    asMallory('mkdir', join(shared, 'theirs'))
    await refused(join(shared, 'theirs/run'), /another user: ".*\/theirs" belongs to user 65534; set another/)
    asMallory('ln', '-s', '/var/tmp', join(shared, 'link'))
    await refused(join(shared, 'link/run'), /another user: ".*\/link" is a link that user 65534 made; set another/)
    symlinkSync('/', join(shared, 'ours'))
    await refused(join(shared, `ours${shared}/open/run`), /another user: ".*\/open" may be written by others/)
  })
})

describe('what a switch makes', { ...needs, timeout: 60_000 }, () => {
  let lab: Lab
  before(async () => {
    lab = await Lab.open()
  })
  after(() => lab.close())

  it('is closed to other users whatever the umask, and they cannot move it', async () => {
    const folder = lab.path('run')
    const through = ['sh', '-c', 'umask 0; exec "$@"', 'sh']
    const http = { listen: 'api.sock' }
    const stream = { name: 'stream', type: 'stream', listen: 'stream.sock' }
    chmodSync(lab.folder, 0o755)
    await lab.startSwitch({ runtimeDir: folder, transports: [vms, stream], http }, { through })
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    const made = readdirSync(folder).map(name => `${name} ${(lstatSync(join(folder, name)).mode & 0o777).toString(8)}`)
    for (const name of ['api.sock', 'stream.sock', 'vms.sock']) assert.ok(made.includes(`${name} 600`), made.join())
    assert.deepEqual(
      made.filter(entry => !/ [0-7]00$/.test(entry)),
      [],
    )
    assert.throws(() => asMallory('ls', folder), /Permission denied/)
    assert.throws(() => asMallory('mv', folder, `${folder}.away`), /Permission denied/)
  })

  it('gets no other mode or owner when the user that root was given up for leaves a link in its place', async () => {
    const config = { process: { user: MALLORY }, transports: [vms], http: false }
    chmodSync(lab.folder, 0o700)
    const first = await lab.startSwitch(config)
    await first.kill9()
    assert.equal(statSync(lab.folder).uid, MALLORY)
    const victim = mkdtempSync('/tmp/tsw-root-')
    try {
      asMallory('ln', '-sfn', victim, lab.path('vms.sock'))
      const { errors } = await SwitchProcess.refused(lab.folder, config)
      assert.match(errors.at(-1)?.msg ?? '', /vms\.sock" exists and is not a socket; it is left alone$/)
      assert.deepEqual([statSync(victim).uid, statSync(victim).mode & 0o777], [0, 0o700])
      // A start that failed leaves the folder to that user, whose switch may still run.
      assert.equal(statSync(lab.folder).uid, MALLORY)
    } finally {
      rmSync(victim, { recursive: true })
    }
  })
})
