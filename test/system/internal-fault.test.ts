/**
 * Exceptions on the main thread that belong to no transport, thrown into the shipped program by a module that it loads
 * first.
 */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { eventually } from '../support/eventually.js'
import { BROADCAST } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numbered, numberOf } from '../support/numbered.js'

const ALICE = '02:00:00:00:00:0a'
const BOB = '02:00:00:00:00:0b'

const faults = {
  'thrown by a timer': `setTimeout(() => { throw new Error('injected') }, 0)`,
  'of a promise that is not awaited': `Promise.reject(new Error('injected'))`,
  'of an emitter without a listener': `setTimeout(() => new EventEmitter().emit('error', new Error('injected')), 0)`,
}

describe('an internal fault of the running switch', { timeout: 60_000 }, () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.open()
  })
  afterEach(() => lab.close())

  /** Throws when the switch gets SIGUSR2. */
  async function startWith(fault: string) {
    const module = lab.path('fault.mjs')
    const text = `import { EventEmitter } from 'node:events'
      import { isMainThread } from 'node:worker_threads'
      if (isMainThread) process.on('SIGUSR2', () => { ${fault} })
      void EventEmitter`
    await writeFile(module, text)
    return lab.startSwitch(
      { transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] },
      { env: { NODE_OPTIONS: `--import=${pathToFileURL(module)}` } },
    )
  }

  for (const [what, fault] of Object.entries(faults)) {
    it(`${what}: frames go on, and the operator is told`, async () => {
      const tap = await startWith(fault)
      const alice = lab.qemu('alice.sock', 'vms.sock')
      const bob = lab.qemu('bob.sock', 'vms.sock')
      await bob.send(numbered(BROADCAST, BOB, 0))
      await alice.send(numbered(BROADCAST, ALICE, 0))
      assert.equal(numberOf(await bob.receive()), 0)

      let number = 0
      const exchange = async () => {
        await alice.send(numbered(BOB, ALICE, ++number))
        assert.equal(numberOf(await bob.receive()), number)
      }
      for (let i = 0; i < 20; i++) await exchange()
      tap.kill('SIGUSR2')
      for (let i = 0; i < 20; i++) await exchange()
      const line = await tap.logged(({ msg }) => msg.startsWith('an internal fault'))
      assert.match(String(line.err), /Error: injected\n +at /)
      for (let i = 0; i < 20; i++) await exchange()
      await eventually(
        async () => (await (await fetch(`${tap.url}/v1/findings`)).json()) as { findings: { code: string }[] },
        ({ findings }) => findings.some(({ code }) => code === 'internal-fault'),
        'it is a finding',
      )
      assert.equal((await fetch(`${tap.url}/healthz`)).status, 200)
      assert.deepEqual(await tap.stop(), { code: 0, signal: null })
    })
  }

  it('without end: the process ends with a line that says why', async () => {
    const tap = await startWith(`setInterval(() => { throw new Error('injected') }, 1)`)
    tap.kill('SIGUSR2')
    const { code } = await tap.exited
    assert.equal(code, 1)
    assert.match(tap.log.at(-1)?.msg ?? '', /internal faults follow each other without end/)
  })
})
