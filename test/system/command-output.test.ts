/** What the commands do when their output goes nowhere, and what `save` and `check` say. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { controlTokenOf } from '../support/control-tokens.js'
import { Lab } from '../support/lab.js'
import { projectRoot } from '../support/project-root.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'

const program = join(projectRoot, 'dist/cli/main.js')

interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  out: string
  err: string
}

/** Runs the program; `stdout` is a descriptor, or what a shell puts behind the program. */
async function tapswitch(args: readonly string[], stdout: number | 'pipe' = 'pipe', token?: string): Promise<Ended> {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', stdout, 'pipe'],
    timeout: 30_000,
    env: { ...process.env, ...(token && { TAPSWITCH_TOKEN: token }) },
  })
  const [out, err, [code, signal]] = await Promise.all([
    child.stdout === null ? '' : text(child.stdout),
    text(child.stderr as NonNullable<typeof child.stderr>),
    once(child, 'close'),
  ])
  return { code, signal, out, err }
}

describe('a command whose output is not read', { timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
  })
  after(() => lab.close())

  it('ends when its reader does, also when there is nothing to write', async () => {
    const child = spawn(process.execPath, [program, 'events', '-u', running.url], { stdio: ['ignore', 'pipe', 'pipe'] })
    const err = text(child.stderr)
    child.stdout.destroy()
    const [code, signal] = await once(child, 'close')
    assert.deepEqual([code, signal, await err], [0, null, ''])
  })

  it('says so in a sentence when the disk is full', requirements({ platform: 'linux' }), async () => {
    const full = openSync('/dev/full', 'w')
    try {
      for (const command of ['ports', 'status', 'schema']) {
        const target = command === 'schema' ? [] : ['-u', running.url]
        const { code, err } = await tapswitch([command, ...target], full)
        assert.equal(code, 1, command)
        assert.match(err, /^the output cannot be written: .*ENOSPC.*\n$/, command)
      }
    } finally {
      closeSync(full)
    }
  })

  it('says that there is no such port', async () => {
    const { code, err } = await tapswitch(['fdb', '-p', 'nope', '-u', running.url])
    assert.equal(code, 1)
    assert.match(err, /^there is no port nope; there are none\n$/)
  })
})

describe('check', () => {
  let lab: Lab
  before(async () => {
    lab = await Lab.open()
  })
  after(() => lab.close())

  async function check(config: object | string): Promise<Ended> {
    const file = lab.path('checked.yaml')
    writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config))
    return tapswitch(['check', '-c', file])
  }

  it('names secrets and certificates that cannot be read', async () => {
    const { code, err } = await check({
      http: {
        listen: '127.0.0.1:0',
        token: { file: 'none.token' },
        tls: { certificate: 'none.pem', key: 'none.key' },
      },
      transports: [
        { name: 'web', type: 'websocket', listen: '/ethernet', token: { env: 'TAPSWITCH_NONE' } },
        { name: 'far', type: 'websocket', connect: 'wss://127.0.0.1/x', ca: 'none-ca.pem' },
      ],
    })
    assert.equal(code, 2)
    assert.match(err, /^http\.token: file ".*none\.token" does not exist$/m)
    assert.match(err, /^http\.tls: .*".*none\.pem" cannot be read \(ENOENT\)$/m)
    assert.match(err, /^transports\[0\]\.token: environment variable TAPSWITCH_NONE is not set$/m)
    assert.match(err, /^transports\[1\]\.ca: ".*none-ca\.pem" cannot be read \(ENOENT\)$/m)
  })

  it('names an address that another program has, but not one where a switch answers', async () => {
    const other = createServer(socket => socket.destroy()).listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    try {
      const taken = await check({ http: { listen: `127.0.0.1:${port}` } })
      assert.equal(taken.code, 2)
      assert.match(taken.err, new RegExp(`^http\\.listen: 127\\.0\\.0\\.1:${port} is in use by another program`))
    } finally {
      other.close()
    }
    const running = await lab.startSwitch({})
    assert.equal((await check({ http: { listen: new URL(running.url).host } })).code, 0)
  })

  it('names a NUL in a path, and text that YAML takes for a number', async () => {
    const zero = await check({ http: { listen: '127.0.0.1:0', token: { file: 'a\0b' } } })
    assert.equal(zero.code, 2)
    assert.match(zero.err, /http\.token/)
    const number = await check('transports: [{ name: 10, type: unixgram, listen: a.sock }]\n')
    assert.equal(number.code, 2)
    assert.match(number.err, /transports\[0\]\.name: 10 is not a name: .*; in quotes it is one: "10"/)
  })

  it('takes merged mappings, and keys of the operator', async () => {
    const anchors = `
x-common: &common { type: unixgram, port: { isolated: true } }
http: { listen: "127.0.0.1:0" }
transports:
  - { <<: *common, name: a, listen: a.sock }
  - { <<: *common, name: b, listen: b.sock }
`
    const { code, out, err } = await check(anchors)
    assert.deepEqual([code, err], [0, ''])
    assert.match(out, /a \(unixgram\), b \(unixgram\)/)
  })
})

describe('save', { timeout: 60_000 }, () => {
  it('says what it wrote, or that there was nothing to write', async () => {
    const lab = await Lab.open()
    try {
      const running = await lab.startSwitch({ transports: [] })
      const target = ['-u', running.url]
      const run = (...args: string[]) => tapswitch([...args, ...target], 'pipe', controlTokenOf(running.url))
      const nothing = await run('save')
      assert.equal(nothing.out, `nothing to write: ${running.file} says what runs\n`)
      await run('add', 'transport', 'name=a', 'type=unixgram', 'listen=a.sock')
      assert.equal((await run('save')).out, `written to ${running.file}\n`)
    } finally {
      await lab.close()
    }
  })
})
