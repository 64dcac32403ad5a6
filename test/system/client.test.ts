/** The commands that talk to a running switch, as people and scripts call them. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../support/eventually.js'
import { ALICE, arpReply, arpRequest, BOB, CAROL } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { projectRoot } from '../support/project-root.js'
import { requirements } from '../support/requires.js'
import { spawnBound } from '../support/spawn.js'
import type { SwitchProcess } from '../support/switch-process.js'

const program = join(projectRoot, 'dist/cli/main.js')

interface Result {
  code: number | null
  out: string
  err: string
}

describe('a command to a running switch', { timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess

  before(async () => {
    lab = await Lab.open()
    await writeFile(lab.path('control.token'), 'may-do-everything-0123456789\n', { mode: 0o600 })
    await writeFile(lab.path('read.token'), 'may-look-around-0123456789\n', { mode: 0o600 })
    running = await lab.startSwitch({
      runtimeDir: lab.folder,
      http: {
        listen: 'api.sock',
        tokens: [
          { name: 'boss', role: 'control', token: { file: 'control.token' } },
          { name: 'guest', role: 'read', token: { file: 'read.token' } },
        ],
      },
      transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }],
    })
    const alice = lab.qemu('alice.sock', 'vms.sock')
    const bob = lab.qemu('bob.sock', 'vms.sock')
    await alice.send(arpRequest)
    await bob.send(arpReply)
    await eventually(
      () => tapswitch('fdb', '--json'),
      ({ out }) => out.includes(ALICE) && out.includes(BOB),
      'both stations are learned',
      30_000,
    )
  })

  after(() => lab?.close())

  /** Where the switch is, and a token for it, come from its own configuration file. */
  async function tapswitch(...args: string[]): Promise<Result> {
    return await run([...args, '-c', running.file], null)
  }

  async function run(args: string[], token: string | null): Promise<Result> {
    const env = { ...process.env }
    if (token !== null) env.TAPSWITCH_TOKEN_FILE = lab.path(token)
    const child = spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let [out, err] = ['', '']
    child.stdout.setEncoding('utf8').on('data', text => {
      out += text
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      err += text
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
    const [code] = await once(child, 'close')
    clearTimeout(timer)
    return { code, out, err }
  }

  it('shows the switch, its ports, transports and addresses as tables', async () => {
    assert.match((await tapswitch('status')).out, /^switch +tapswitch, [\s\S]*ports +2 up of 2/)
    const { out } = await tapswitch('ports')
    assert.match(out, /^ID +PORT +KIND/)
    assert.match(out, /^ *1 +vms:1 +unixgram +up .*alice\.sock$/m)
    assert.match((await tapswitch('transports')).out, /^vms +unixgram +2 /m)
    assert.equal((await tapswitch('interfaces')).out, 'no interfaces\n')
    assert.match((await tapswitch('fdb', '-p', 'vms:2')).out, new RegExp(`^${BOB}  vms:2 `, 'm'))
  })

  it('has the API’s own JSON for scripts', async () => {
    const { ports } = JSON.parse((await tapswitch('ports', '--json')).out)
    assert.deepEqual(
      ports.map((port: { name: string }) => port.name),
      ['vms:1', 'vms:2'],
    )
    assert.equal(JSON.parse((await tapswitch('ports', 'vms:2', '--json')).out).id, 2)
  })

  it('adds and removes a transport, and writes it into the file', async () => {
    const added = await tapswitch('add', 'transport', 'name=vm3', 'type=unixgram', 'listen=vm3.sock', 'peers=one')
    assert.deepEqual(added, { code: 0, out: 'added transport vm3\n', err: '' })
    assert.match((await tapswitch('save')).out, /^written to .*switch\.yaml\n$/)
    assert.match(await readFile(running.file, 'utf8'), /vm3\.sock/)
    assert.deepEqual(await tapswitch('remove', 'transport', 'vm3'), {
      code: 0,
      out: 'removed transport vm3\n',
      err: '',
    })
    const { code, err } = await tapswitch('remove', 'transport', 'vm3')
    assert.deepEqual([code, err.includes('vm3')], [1, true])
  })

  it('says what is wrong with an addition, by its path', async () => {
    const { code, out, err } = await tapswitch(
      'add',
      'transport',
      'name=x',
      'type=unixgram',
      'listen=x.sock',
      'peers=few',
    )
    assert.deepEqual([code, out], [1, ''])
    assert.match(err, /^peers: "few" is not one of "many", "one"/m)
    assert.equal((await tapswitch('add', 'cable', 'name=x')).code, 2)
  })

  it('changes ports and the switch', async () => {
    assert.equal((await tapswitch('set', 'vms:2', 'isolated=true')).out, 'changed vms:2\n')
    assert.equal(JSON.parse((await tapswitch('ports', 'vms:2', '--json')).out).isolated, true)
    assert.equal((await tapswitch('set', 'switch', 'fdb.ageingSeconds=60')).code, 0)
    assert.match((await tapswitch('status')).out, /forgotten after 60 s/)
    const { code, err } = await tapswitch('set', 'vms:2', 'colour=blue')
    assert.equal(code, 1)
    assert.match(err, /colour/)
  })

  it('fixes addresses and forgets them', async () => {
    assert.equal((await tapswitch('learn', CAROL, 'vms:1')).out, `${CAROL} is at vms:1\n`)
    assert.match((await tapswitch('fdb', '-m', CAROL)).out, /static/)
    assert.equal((await tapswitch('forget', CAROL)).code, 0)
    assert.match((await tapswitch('flush')).out, /forgot all/)
    assert.equal((await tapswitch('fdb')).out, 'no addresses\n')
  })

  it('follows events until it is stopped', async () => {
    const args = [program, 'events', '-c', running.file, '--token-file', lab.path('read.token')]
    const child = spawnBound(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    lab.onClose(async () => child.kill('SIGKILL'))
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
    const first = lines.next()
    // The reader is there once an event comes; changing something again and again brings one.
    const timer = setInterval(() => void tapswitch('set', 'vms:1', 'isolated=false'), 1000)
    const { value } = await first
    clearInterval(timer)
    assert.match(value, /^\d\d:\d\d:\d\d\S* +port-changed +port=vms:1/)
    const exited = once(child, 'exit')
    child.kill('SIGINT')
    assert.deepEqual(await exited, [0, null])
  })

  it('needs a token where the switch asks for one, and one that may', async () => {
    const without = await run(['status', '-u', `unix:${lab.path('api.sock')}`], null)
    assert.equal(without.code, 1)
    assert.match(without.err, /--token-file/)
    const weak = await run(['flush', '-c', running.file], 'read.token')
    assert.equal(weak.code, 1)
    assert.match(weak.err, /role control/)
  })

  it('says clearly that no switch answers', async () => {
    const { code, err } = await run(['ports', '-u', `unix:${lab.path('nobody.sock')}`], null)
    assert.equal(code, 1)
    assert.match(err, /^no switch answers at unix:.*there is no such socket; start one with "tapswitch run"/)
    assert.equal((await run(['ports', '-u', 'ftp://x'], null)).code, 2)
  })

  it('shows rates live on a terminal', requirements({ commands: ['script'] }), async () => {
    const command = `${process.execPath} ${program} top -n 0.2 -c ${running.file} --token-file ${lab.path('read.token')}`
    const child = spawnBound('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
    lab.onClose(async () => child.kill('SIGKILL'))
    let screen = ''
    const shown = new Promise<void>(resolve => {
      child.stdout?.setEncoding('utf8').on('data', text => {
        screen += text
        if (/PORT +STATE[\s\S]*vms:1 +up/.test(screen)) resolve()
      })
    })
    await shown
    const exited = once(child, 'exit')
    child.stdin?.write('q')
    assert.deepEqual(await exited, [0, null])
    assert.ok(screen.endsWith('\x1b[?1049l') || screen.includes('\x1b[?1049l'), 'the screen is given back')
  })

  it('is no command for a pipe when it needs a terminal, nor the other way round', async () => {
    assert.equal((await tapswitch('top')).code, 2)
  })

  it('completes in a shell', async () => {
    assert.match((await run(['completion', 'bash'], null)).out, /complete /)
    assert.match((await run(['complete', '--', 'po'], null)).out, /^ports\t/m)
  })
})
