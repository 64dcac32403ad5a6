import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { UndoJournal } from '#src/tap/journal.js'
import { namespaceIdentity } from '#src/tap/namespace.js'
import { isAlive, type ProcessIdentity, processIdentity } from '#src/tap/process-identity.js'
import type { UndoStep } from '#src/tap/undo.js'
import { recordingLogger } from '../../support/recording-logger.js'
import { requirements } from '../../support/requires.js'

/** Of a namespace that is gone, and so taken back already. */
const gone = (table: string): UndoStep => ({ kind: 'table', table, comment: '', netns: 'tsw-gone', namespace: '1' })

describe('the journal', requirements({ platform: 'linux' }), () => {
  let folder: string
  let log: ReturnType<typeof recordingLogger>
  let journal: UndoJournal
  const own = () => join(folder, `tap-${process.pid}.json`)
  const steps = () => (JSON.parse(readFileSync(own(), 'utf8')) as { steps: UndoStep[] }).steps

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-journal-'))
    log = recordingLogger()
    journal = new UndoJournal(folder, log)
  })

  afterEach(() => rmSync(folder, { recursive: true }))

  function leave(name: string, process: Partial<ProcessIdentity>, left: unknown[] = [gone('a'), gone('b')]): void {
    const identity = { ...(processIdentity(globalThis.process.pid) as ProcessIdentity), ...process }
    writeFileSync(join(folder, name), JSON.stringify({ process: identity, steps: left }))
  }

  it('has each step in its file when `add` returns, and none of the file once all are taken back', async () => {
    journal.add(gone('a'))
    const second = gone('b')
    journal.add(second)
    assert.deepEqual(steps(), [gone('a'), gone('b')])
    await journal.takeBack(second)
    assert.deepEqual(steps(), [gone('a')])
    journal.forget(gone('a'))
    assert.equal(steps().length, 1, 'another step that looks the same')
    assert.deepEqual(readdirSync(folder), [`tap-${process.pid}.json`])
  })

  it('takes back what a dead process left, the last step first', async () => {
    leave('tap-1.json', { pid: 1, startTime: '0' })
    await journal.recover()
    assert.deepEqual(readdirSync(folder), [])
    assert.equal(log.lines.filter(({ level }) => level === 'debug').length, 2)
  })

  it('leaves a process alone that lives, itself too', async () => {
    leave(`tap-${process.ppid}.json`, { ...processIdentity(process.ppid) })
    journal.add(gone('a'))
    await journal.recover()
    assert.equal(readdirSync(folder).length, 2)
  })

  it('does nothing about what was before the machine started', async () => {
    leave('tap-1.json', { pid: 1, startTime: '0', bootId: 'another' })
    await journal.recover()
    assert.deepEqual([readdirSync(folder), log.lines], [[], []])
  })

  it('says what it could not take back, and goes on with the rest', requirements({ commands: ['ip'] }), async () => {
    const here = { netns: null, namespace: namespaceIdentity(null) ?? assert.fail() }
    const impossible: UndoStep = { ...here, kind: 'link', device: 'lo', index: 1, before: ['nonsense'] }
    leave('tap-1.json', { pid: 1, startTime: '0' }, [gone('a'), impossible, gone('b')])
    await journal.recover()
    assert.deepEqual(
      log.lines.map(({ level }) => level),
      ['debug', 'warn', 'debug'],
    )
    assert.ok(!existsSync(join(folder, 'tap-1.json')))
  })

  it('ignores files that are not its own, and broken ones', async () => {
    for (const name of ['tap-host.leases', 'tap-12.json', 'tap-x.json']) writeFileSync(join(folder, name), '{')
    await journal.recover()
    assert.equal(readdirSync(folder).length, 3)
  })

  it('takes a change back that several hold when the last lets go', async () => {
    let made = 0
    const step = gone('shared')
    const take = async () => {
      made++
      journal.add(step)
      return step
    }
    await Promise.all([journal.hold('key', take), journal.hold('key', take)])
    assert.equal(made, 1)
    await journal.release('key')
    assert.deepEqual(steps(), [step])
    await journal.release('key')
    assert.ok(!existsSync(own()))
    await journal.release('key')
    await journal.hold('key', take)
    assert.equal(made, 2)
    await journal.release('key')
  })

  it('forgets a change that could not be made', async () => {
    const failing = () => Promise.reject(new Error('no'))
    await assert.rejects(journal.hold('key', failing), /no/)
    await journal.hold('key', async () => null)
    await journal.release('key')
  })
})

describe('a process', requirements({ platform: 'linux' }), () => {
  it('is alive while it has the same start time and boot', () => {
    const me = processIdentity(process.pid) ?? assert.fail()
    assert.ok(isAlive(me))
    assert.ok(!isAlive({ ...me, startTime: '1' }))
    assert.ok(!isAlive({ ...me, bootId: 'x' }))
    assert.equal(processIdentity(2 ** 30), undefined)
  })
})
