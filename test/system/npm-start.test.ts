/**
 * `npm start` and Ctrl-C, as a terminal does it: SIGINT to npm, its shell and the switch at once. npm then sends the
 * switch another one.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { Lab } from '../support/lab.js'
import { projectRoot } from '../support/project-root.js'
import { requirements } from '../support/requires.js'

describe('npm start', { ...requirements({ commands: ['npm'] }), timeout: 120_000 }, () => {
  let lab: Lab
  let npm: ChildProcess | undefined

  before(async () => {
    lab = await Lab.open()
  })
  after(async () => {
    if (npm?.exitCode === null && npm.signalCode === null) process.kill(-(npm.pid as number), 'SIGKILL')
    await lab.close()
  })

  /** In a process group of its own, with the log as JSON; resolves when the switch is ready. */
  async function start(): Promise<ChildProcess> {
    const config = {
      runtimeDir: lab.folder,
      transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }],
      http: { listen: 'api.sock' },
    }
    writeFileSync(lab.path('switch.yaml'), JSON.stringify(config))
    npm = spawn('npm', ['start', '--', '-c', lab.path('switch.yaml')], {
      cwd: projectRoot,
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    })
    for await (const line of createInterface({ input: npm.stderr as Readable })) if (/"msg":"ready"/.test(line)) break
    npm.stderr?.resume()
    return npm
  }

  it('stops cleanly on Ctrl-C: exit code 0, and no socket file is left', async () => {
    const { pid } = await start()
    assert.ok(existsSync(lab.path('vms.sock')) && existsSync(lab.path('api.sock')))
    process.kill(-(pid as number), 'SIGINT')
    assert.deepEqual(await once(npm as ChildProcess, 'exit'), [0, null])
    assert.ok(!existsSync(lab.path('vms.sock')) && !existsSync(lab.path('api.sock')))
  })
})
