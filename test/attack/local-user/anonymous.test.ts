/** Another user of the machine, without a token and without rights, against the API on loopback. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fchmodSync, lstatSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Api } from '../../support/api.js'
import { controlTokenOf } from '../../support/control-tokens.js'
import { eventually } from '../../support/eventually.js'
import { Lab } from '../../support/lab.js'
import { projectRoot } from '../../support/project-root.js'
import { requirements } from '../../support/requires.js'
import type { SwitchProcess } from '../../support/switch-process.js'

const run = promisify(execFile)
const NOBODY = 65534

/** What another user's program does, given as an expression, and what came of it. */
async function asNobody<Result>(expression: string): Promise<Result> {
  const become = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
  const script = `(async () => ${expression})().then(result => console.log(JSON.stringify(result)))`
  const { stdout } = await run('setpriv', [...become, process.execPath, '-e', script], { cwd: '/', timeout: 30_000 })
  return JSON.parse(stdout)
}

describe('another local user', { ...requirements({ root: true, commands: ['setpriv'] }), timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
  })
  after(() => lab?.close())

  it('may read, and neither change nor capture', async () => {
    const wanted = [
      ['GET', '/v1/ports'],
      ['GET', '/metrics'],
      ['GET', '/v1/capture?seconds=1'],
      ['GET', '/v1/captures'],
      ['PATCH', '/v1/switch'],
      ['POST', '/v1/transports'],
      ['POST', '/v1/config/save'],
      ['POST', '/v1/session/code'],
      ['DELETE', '/v1/transports/vms'],
    ]
    const statuses = await asNobody(
      `Promise.all(${JSON.stringify(wanted)}.map(([method, path]) =>
        fetch('${running.url}' + path, { method }).then(({ status }) => status)))`,
    )
    assert.deepEqual(statuses, [200, 200, 401, 200, 401, 401, 401, 401, 401])
  })

  it('does not get at the token: its file is for the user of the switch, and a guessed code opens nothing', async () => {
    const { mode, uid } = lstatSync(lab.path('control.token'))
    assert.deepEqual([mode & 0o777, uid], [0o600, process.getuid?.()])
    const code = await asNobody(`import('node:fs').then(({ readFileSync }) => {
      try { return readFileSync('${lab.path('control.token')}', 'utf8') } catch (error) { return error.code }
    })`)
    assert.equal(code, 'EACCES')
    const status = await asNobody(`fetch('${running.url}/v1/session', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"code":"AAAAAAAAAAAAAAAAAAAAAA"}'
    }).then(({ status }) => status)`)
    assert.equal(status, 403)
  })

  it('does not lock the owner out by guessing', async () => {
    const last = await asNobody(`(async () => {
      let status = 0
      for (let i = 0; i < 40; i++) {
        const headers = { authorization: 'Bearer guess-' + i + '-0123456789' }
        status = (await fetch('${running.url}/v1/switch', { headers })).status
      }
      return status
    })()`)
    assert.equal(last, 429)
    assert.equal((await new Api(running.url).patch('/v1/switch', { name: 'mine' })).status, 200)
  })
})

describe('the link with control that run prints', { timeout: 60_000 }, () => {
  const program = join(projectRoot, 'dist/cli/main.js')

  /** What a switch prints to a file of this mode until it is ready, and a moment after. */
  async function printedTo(mode: number): Promise<string> {
    const lab = await Lab.open()
    const [config, out] = [lab.path('switch.yaml'), lab.path('out')]
    writeFileSync(
      config,
      JSON.stringify({ runtimeDir: lab.path('run'), http: { listen: '127.0.0.1:0' }, transports: [] }),
    )
    const fd = openSync(out, 'w', mode)
    fchmodSync(fd, mode)
    const child = spawn(process.execPath, [program, 'run', '-c', config], { stdio: ['ignore', fd, fd] })
    closeSync(fd)
    try {
      await eventually(
        () => readFileSync(out, 'utf8'),
        text => text.includes('"ready"'),
        'it is ready',
        30_000,
      )
      child.kill('SIGTERM')
      await once(child, 'close')
      return readFileSync(out, 'utf8')
    } finally {
      child.kill('SIGKILL')
      await lab.close()
    }
  }

  it('is not in a file that other users may read', async () => {
    assert.doesNotMatch(await printedTo(0o644), /code=/)
    assert.match(await printedTo(0o600), /#code=[\w-]+/)
  })
})

describe('the control token', { timeout: 60_000 }, () => {
  it('is the same at the next start, and made anew where it is not good', async () => {
    const lab = await Lab.open()
    try {
      const started = async () => {
        const running = await lab.startSwitch({ transports: [] })
        const token = controlTokenOf(running.url)
        assert.match(String(token), /^[\w-]{43}$/)
        assert.equal((await new Api(running.url).patch('/v1/switch', { name: 'x' })).status, 200)
        await running.stop()
        return token
      }
      const first = await started()
      assert.equal(await started(), first)
      writeFileSync(lab.path('elsewhere'), `${first}\n`, { mode: 0o600 })
      rmSync(lab.path('control.token'))
      symlinkSync(lab.path('elsewhere'), lab.path('control.token'))
      assert.notEqual(await started(), first)
      assert.ok(lstatSync(lab.path('control.token')).isFile(), 'the link is not followed')
    } finally {
      await lab.close()
    }
  })
})
