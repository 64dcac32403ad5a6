/**
 * The switch whose log cannot be written: a full disk, a reader that does not read, one that is gone. It starts,
 * answers and stops as ever, and says what is missing.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { promisify } from 'node:util'
import type { FindingView, SwitchInfo } from '#src/control/view.js'
import { Api } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import { freeTcpPort } from '../support/free-port.js'
import { projectRoot } from '../support/project-root.js'
import { requirements } from '../support/requires.js'
import { spawnBound } from '../support/spawn.js'

const run = promisify(execFile)
const program = join(projectRoot, 'dist/cli/main.js')
const TOKEN = 'a-token-of-this-test'
/** Its line in the audit is as long as a line there gets. */
const refused = { nonsense: 'n'.repeat(2000) }

describe('the log', { timeout: 120_000 }, () => {
  let folder: string
  let api: Api
  let child: ChildProcess | undefined

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-log-'))
  })
  afterEach(async () => {
    if (child?.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    rmSync(folder, { recursive: true, force: true })
  })

  const start = async (stdout: 'pipe' | 'ignore' | number, stderr: 'pipe' | number): Promise<ChildProcess> => {
    const port = await freeTcpPort()
    const config = {
      runtimeDir: join(folder, 'run'),
      transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }],
      http: { listen: `127.0.0.1:${port}`, token: { file: join(folder, 'token') } },
    }
    mkdirSync(config.runtimeDir, { mode: 0o700 })
    writeFileSync(join(folder, 'token'), TOKEN, { mode: 0o600 })
    writeFileSync(join(folder, 'switch.yaml'), JSON.stringify(config))
    const started = spawnBound(process.execPath, [program, 'run', '-c', join(folder, 'switch.yaml')], {
      stdio: ['ignore', stdout, stderr],
    })
    child = started
    api = new Api(`http://127.0.0.1:${port}`, TOKEN)
    await eventually(
      () =>
        api.get('/readyz').then(
          ({ status }) => status,
          () => 0,
        ),
      status => status === 200 || started.exitCode !== null,
      'the switch is ready',
      20_000,
    )
    assert.equal(started.exitCode, null, 'it runs')
    return started
  }

  /** So many lines of the log, of 2 kB each; every request is answered. */
  const change = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) assert.equal((await api.patch('/v1/switch', refused)).status, 400)
  }
  const dropped = async (): Promise<number> => ((await api.get('/v1/switch')).json as SwitchInfo).log.linesDropped
  const finding = async (): Promise<FindingView | undefined> =>
    ((await api.get('/v1/findings')).json.findings as FindingView[]).find(({ code }) => code === 'log-not-written')

  const stop = async (started: ChildProcess): Promise<void> => {
    started.kill('SIGTERM')
    const [code, signal] = await once(started, 'close')
    assert.deepEqual([code, signal], [0, null])
  }

  it('cannot be written at all: the switch starts, says so in its API, and stops', async () => {
    const full = openSync('/dev/full', 'w')
    try {
      const started = await start(full, full)
      await change(3)
      assert.match((await finding())?.message ?? '', /ENOSPC/)
      for (const command of ['doctor', 'findings']) {
        const { stdout } = await run(process.execPath, [program, command, '-c', join(folder, 'switch.yaml')])
        assert.match(stdout, /the log is not written.*ENOSPC/, command)
      }
      await stop(started)
    } finally {
      closeSync(full)
    }
  })

  it('is not read, as a socket: every request is answered, and the reader learns later what is missing', async () => {
    const started = await start('ignore', 'pipe')
    const stderr = started.stderr as Readable
    await fill()
    assert.match((await finding())?.message ?? '', /EAGAIN/)
    const missing = await dropped()
    const lines = collect(stderr)
    await eventually(finding, found => found === undefined, 'the log is written again', 20_000)
    await stop(started)
    const told = lines().filter(({ msg }) => String(msg).startsWith('log lines lost: '))
    const sum = told.reduce((total, { lost }) => total + Number(lost), 0)
    assert.ok(sum >= missing, `${sum} of ${missing}`)
    assert.equal(lines().at(-1)?.msg, 'stopped')
  })

  it('is not read, as a pipe: the same', async () => {
    const path = join(folder, 'fifo')
    execFileSync('mkfifo', [path])
    const fifo = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    try {
      const writing = openSync(path, 'w')
      const started = await start('ignore', writing)
      closeSync(writing)
      await fill()
      assert.match((await finding())?.message ?? '', /EAGAIN/)
      await eventually(
        async () => {
          drain(fifo)
          return finding()
        },
        found => found === undefined,
        'the log is written again',
        20_000,
      )
      await stop(started)
      assert.match(drain(fifo), /"msg":"stopped"/)
    } finally {
      closeSync(fifo)
    }
  })

  it('has a reader that is gone: the lines are counted as lost', async () => {
    const started = await start('pipe', 'pipe')
    started.stdout?.destroy()
    started.stderr?.destroy()
    await change(5)
    assert.ok((await dropped()) > 0)
    assert.match((await finding())?.message ?? '', /EPIPE/)
    await stop(started)
  })

  it(
    'is on a disk that is full for a while: what waited is written once there is space',
    requirements({ root: true, platform: 'linux', commands: ['mount'] }),
    async () => {
      const disk = join(folder, 'disk')
      mkdirSync(disk)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk])
      try {
        const log = openSync(join(disk, 'log'), 'a')
        const started = await start('ignore', log)
        closeSync(log)
        const filler = join(disk, 'filler')
        const { bavail, bsize } = statfsSync(disk)
        writeFileSync(filler, Buffer.alloc(bavail * bsize))
        await change(40)
        assert.match((await finding())?.message ?? '', /ENOSPC/)
        rmSync(filler)
        await eventually(finding, found => found === undefined, 'the log is written again', 20_000)
        assert.equal(await dropped(), 0)
        await stop(started)
        const lines = (await readFile(join(disk, 'log'), 'utf8'))
          .trimEnd()
          .split('\n')
          .map(line => JSON.parse(line))
        assert.equal(lines.filter(({ msg }) => msg === 'audit').length, 40)
        assert.equal(lines.at(-1).msg, 'stopped')
      } finally {
        execFileSync('umount', ['-l', disk])
      }
    },
  )

  /** Until lines get lost. */
  async function fill(): Promise<void> {
    for (let i = 0; i < 30 && (await dropped()) === 0; i++) await change(100)
    assert.ok((await dropped()) > 0)
  }
})

function collect(stream: Readable): () => Record<string, unknown>[] {
  let text = ''
  stream.on('data', bytes => {
    text += bytes
  })
  return () => text.split('\n').flatMap(line => (line.startsWith('{') ? [JSON.parse(line)] : []))
}

/** Whatever waits in a pipe. */
function drain(fd: number): string {
  const buffer = Buffer.alloc(64 * 1024)
  let text = ''
  for (;;) {
    try {
      text += buffer.toString('utf8', 0, readSync(fd, buffer))
    } catch {
      return text
    }
  }
}
