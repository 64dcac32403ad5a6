/** `tapswitch run` as a process: what it prints, what it serves, how it stops, and that it leaves nothing behind. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { projectRoot } from '../support/project-root.js'

/** Milliseconds; far above what any step takes. */
const patience = 20_000

interface LogLine {
  level: string
  time: string
  msg: string
  file?: string
  config?: object
  http?: string | null
  problems?: object[]
  added?: string[]
  kept?: string[]
  removed?: string[]
}

class Running {
  readonly process: ChildProcess
  readonly log: LogLine[] = []
  stdout = ''
  readonly ended: Promise<{ code: number | null; signal: string | null }>
  #look = () => {}
  #read = 0

  constructor(file: string, env: NodeJS.ProcessEnv) {
    const args = [join(projectRoot, 'dist/cli/main.js'), 'run', '-c', file]
    this.process = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.process.stdout?.on('data', chunk => {
      this.stdout += chunk
    })
    createInterface({ input: this.process.stderr! }).on('line', line => {
      this.log.push(line.startsWith('{') ? JSON.parse(line) : { level: '', time: '', msg: line })
      this.#look()
    })
    this.ended = once(this.process, 'close').then(([code, signal]) => {
      this.#look()
      return { code, signal }
    })
  }

  /** The next line with this message, after the one returned last. */
  async line(msg: string): Promise<LogLine> {
    const deadline = AbortSignal.timeout(patience)
    for (;;) {
      const found = this.log.findIndex((line, i) => i >= this.#read && line.msg === msg)
      if (found >= 0) {
        this.#read = found + 1
        return this.log[found]
      }
      const isOver = this.process.exitCode !== null || this.process.signalCode !== null || deadline.aborted
      assert.ok(!isOver, `no line "${msg}" in ${JSON.stringify(this.log)}`)
      await new Promise<void>(resolve => {
        this.#look = resolve
        deadline.addEventListener('abort', () => resolve(), { once: true })
      })
    }
  }

  async stop(signal: NodeJS.Signals): Promise<{ code: number | null; signal: string | null }> {
    this.process.kill(signal)
    return this.ended
  }
}

describe('tapswitch run', { timeout: 4 * patience }, () => {
  let directory: string
  let file: string
  let running: Running | undefined

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tapswitch-run-'))
    file = join(directory, 'config.yaml')
  })

  afterEach(async () => {
    if (running?.process.exitCode === null) await running.stop('SIGKILL')
    running = undefined
    rmSync(directory, { recursive: true })
  })

  const sockets = () => {
    const runtimeDir = join(directory, 'tapswitch')
    return existsSync(runtimeDir) ? readdirSync(runtimeDir).filter(name => name !== 'control.token') : []
  }

  function start(config: string): Running {
    writeFileSync(file, config)
    running = new Running(file, { ...process.env, XDG_RUNTIME_DIR: directory })
    return running
  }

  const vms = 'transports: [{ name: vms, type: unixgram, listen: vms.sock }]'
  const anyPort = 'http: { listen: "127.0.0.1:0" }'

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`serves until ${signal}, then ends with 0 and removes its socket files`, async () => {
      const tapswitch = start(`${vms}\n${anyPort}`)
      const { http } = await tapswitch.line('ready')
      assert.equal((await fetch(`${http}/readyz`)).status, 200)
      assert.deepEqual(sockets(), ['vms.sock'])
      assert.deepEqual(await tapswitch.stop(signal), { code: 0, signal: null })
      assert.deepEqual(sockets(), [])
    })
  }

  it('logs the configuration once and prints what to paste', async () => {
    const tapswitch = start(`${vms}\n${anyPort}`)
    await tapswitch.line('ready')
    const [configuration, ...more] = tapswitch.log.filter(({ msg }) => msg === 'configuration')
    assert.deepEqual(more, [])
    assert.equal(configuration.file, file)
    assert.match(JSON.stringify(configuration.config), /"maxFrameSize":1518/)
    assert.deepEqual(await tapswitch.stop('SIGTERM'), { code: 0, signal: null })
    assert.ok(tapswitch.stdout.includes(`remote.path=${directory}/tapswitch/vms.sock -device virtio-net-pci`))
    assert.ok(tapswitch.stdout.includes(`virtio-net,unixSocketPath=${directory}/tapswitch/vms.sock,mac=`))
  })

  it('runs without HTTP', async () => {
    const tapswitch = start(`${vms}\nhttp: false`)
    assert.equal((await tapswitch.line('ready')).http, null)
    assert.deepEqual(await tapswitch.stop('SIGTERM'), { code: 0, signal: null })
  })

  it('reads the file again on SIGHUP, and keeps running when it is not valid', async () => {
    const tapswitch = start(`${vms}\n${anyPort}`)
    const { http } = await tapswitch.line('ready')

    writeFileSync(file, 'swich: {}')
    tapswitch.process.kill('SIGHUP')
    const refused = await tapswitch.line('configuration not reloaded, the running one stays')
    assert.deepEqual(refused.problems, [{ path: 'swich', message: 'unknown option, did you mean switch?' }])
    assert.deepEqual(sockets(), ['vms.sock'])

    writeFileSync(
      file,
      `transports: [{ name: vms, type: unixgram, listen: vms.sock }, { name: b, type: unixgram, listen: b.sock }]\n${anyPort}`,
    )
    tapswitch.process.kill('SIGHUP')
    const { added, kept, removed } = await tapswitch.line('configuration reloaded')
    assert.deepEqual({ added, kept, removed }, { added: ['b'], kept: ['vms'], removed: [] })
    assert.deepEqual(sockets().sort(), ['b.sock', 'vms.sock'])

    assert.equal((await fetch(`${http}/readyz`)).status, 200)
    assert.deepEqual(await tapswitch.stop('SIGTERM'), { code: 0, signal: null })
    assert.deepEqual(sockets(), [])
  })

  it('ends with 2 and makes nothing when the configuration is not valid', async () => {
    const tapswitch = start('swich: {}')
    assert.deepEqual(await tapswitch.ended, { code: 2, signal: null })
    assert.deepEqual(
      tapswitch.log.map(({ msg }) => msg),
      ['swich: unknown option, did you mean switch?'],
    )
    assert.deepEqual(readdirSync(directory), ['config.yaml'])
  })

  it('ends with 1 and leaves no socket when the HTTP port is in use', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    const tapswitch = start(`${vms}\nhttp: { listen: "127.0.0.1:${address.port}" }`)
    assert.deepEqual(await tapswitch.ended, { code: 1, signal: null })
    server.close()
    const errors = tapswitch.log.filter(({ level }) => level === 'error')
    assert.equal(errors.length, 1)
    assert.match(errors[0].msg, /^http\.listen: 127\.0\.0\.1:\d+ is in use/)
    assert.deepEqual(sockets(), [])
  })

  it('ends with 1 when others may enter the runtime directory', async () => {
    const shared = mkdtempSync(join(directory, 'shared-'))
    chmodSync(shared, 0o777)
    const tapswitch = start(`runtimeDir: ${shared}\n${vms}\nhttp: false`)
    assert.deepEqual(await tapswitch.ended, { code: 1, signal: null })
    const errors = tapswitch.log.filter(({ level }) => level === 'error')
    assert.equal(errors.length, 1)
    assert.ok(errors[0].msg.includes(shared), errors[0].msg)
    assert.deepEqual(readdirSync(shared), [])
  })

  it('ends with 1 when another switch serves the path, and leaves that one alone', async () => {
    const first = start(`${vms}\nhttp: false`)
    await first.line('ready')
    const second = new Running(file, { ...process.env, XDG_RUNTIME_DIR: directory })
    assert.deepEqual(await second.ended, { code: 1, signal: null })
    assert.deepEqual(sockets(), ['vms.sock'])
    assert.deepEqual(await first.stop('SIGTERM'), { code: 0, signal: null })
  })
})
