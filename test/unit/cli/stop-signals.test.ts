import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { afterEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { projectRoot } from '../../support/project-root.js'

const module = pathToFileURL(join(projectRoot, 'dist/cli/stop-signals.js')).href

/** Says what reaches it, line by line; stops cleanly only with `cleanly`. */
const program = (cleanly: boolean) => `
import { watchStopSignals } from '${module}'
const signals = watchStopSignals()
signals.onHangup(() => console.log('hangup'))
console.log('running')
process.on('SIGTERM', () => console.log('SIGTERM seen')).on('SIGINT', () => console.log('SIGINT seen'))
console.log(await signals.stop)
${cleanly ? 'signals.release(); process.removeAllListeners()' : ''}
`

describe('a command that runs until it is told to stop', { timeout: 20_000 }, () => {
  let child: ChildProcess
  let lines: AsyncIterator<string>
  let reader: Interface

  function start(cleanly: boolean): void {
    child = spawn(process.execPath, ['--input-type=module', '-e', program(cleanly)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    reader = createInterface({ input: child.stdout! })
    lines = reader[Symbol.asyncIterator]()
  }

  const nextLine = async () => (await lines.next()).value
  const ended = async () => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    return child.signalCode ?? child.exitCode
  }

  afterEach(() => {
    reader.close()
    child.kill('SIGKILL')
  })

  it('stays alive, hears SIGHUP, and ends when all is released', async () => {
    start(true)
    assert.equal(await nextLine(), 'running')
    child.kill('SIGHUP')
    assert.equal(await nextLine(), 'hangup')
    child.kill('SIGTERM')
    assert.deepEqual([await nextLine(), await nextLine()], ['SIGTERM seen', 'SIGTERM'])
    assert.equal(await ended(), 0)
  })

  /** From the moment the signal is seen, so a loaded machine does not make two signals one. */
  const signal = async (name: NodeJS.Signals) => {
    child.kill(name)
    while ((await nextLine()) !== `${name} seen`);
  }

  it('ends at once on a second SIGINT after a moment, but not on a SIGTERM', async () => {
    start(false)
    assert.equal(await nextLine(), 'running')
    await signal('SIGINT')
    await delay(1000)
    await signal('SIGTERM')
    child.kill('SIGINT')
    assert.equal(await ended(), 'SIGKILL')
  })

  it('takes a SIGINT that follows at once for the first one: npm passes on what the terminal sent already', async () => {
    start(false)
    assert.equal(await nextLine(), 'running')
    await signal('SIGINT')
    await signal('SIGINT')
    await signal('SIGTERM')
  })
})
