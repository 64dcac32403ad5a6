import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { OperatorError } from '#src/errors.js'
import { PrivateFolder } from '#src/os/private-folder.js'
import { UndoJournal } from '#src/tap/journal.js'
import { madeUpMac } from '#src/tap/mac.js'
import { namespaceIdentity } from '#src/tap/namespace.js'
import { isAlive, type ProcessIdentity, processIdentity } from '#src/tap/process-identity.js'
import type { UndoStep } from '#src/tap/undo.js'
import { parseRecord } from '#src/tap/undo-record.js'
import { recordingLogger } from '../../support/recording-logger.js'
import { requirements } from '../../support/requires.js'

/** Of a namespace that is gone, and so taken back already. */
const gone = (device: string): UndoStep => ({
  kind: 'table',
  table: `tapswitch_${device}`,
  comment: 'made by tapswitch, process 1, started 1',
  netns: 'tsw-gone',
  namespace: '1',
})

describe('the journal', requirements({ platform: 'linux' }), () => {
  let folder: string
  let log: ReturnType<typeof recordingLogger>
  let journal: UndoJournal
  const own = () => join(folder, `tap-${process.pid}.json`)
  const steps = () => (JSON.parse(readFileSync(own(), 'utf8')) as { steps: UndoStep[] }).steps

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-journal-'))
    log = recordingLogger()
    journal = new UndoJournal(folder, log, new PrivateFolder(folder))
  })

  afterEach(() => rmSync(folder, { recursive: true }))

  function leave(name: string, process: Partial<ProcessIdentity>, left: unknown[] = [gone('a'), gone('b')]): void {
    const identity = { ...(processIdentity(globalThis.process.pid) as ProcessIdentity), ...process }
    writeFileSync(join(folder, name), JSON.stringify({ process: identity, steps: left }), { mode: 0o600 })
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
    leave('tap-1.json', { pid: 1, startTime: '0', bootId: '0-0' })
    await journal.recover()
    assert.deepEqual([readdirSync(folder), log.lines], [[], []])
  })

  it('says what it could not take back, and goes on with the rest', requirements({ commands: ['ip'] }), async () => {
    const here = { netns: null, namespace: namespaceIdentity(null) ?? assert.fail() }
    const impossible: UndoStep = {
      ...here,
      kind: 'link',
      device: 'lo',
      index: 1,
      before: ['address', 'ff:ff:ff:ff:ff:ff'],
    }
    leave('tap-1.json', { pid: 1, startTime: '0' }, [gone('a'), impossible, gone('b')])
    await journal.recover()
    assert.deepEqual(
      log.lines.map(({ level }) => level),
      ['debug', 'warn', 'debug'],
    )
    assert.ok(!existsSync(join(folder, 'tap-1.json')))
  })

  it('ignores files that are not its own', async () => {
    for (const name of ['tap-host.leases', 'tap-x.json', 'tap-0.json']) writeFileSync(join(folder, name), '{')
    await journal.recover()
    assert.equal(readdirSync(folder).length, 3)
  })

  const here = { netns: null, namespace: '1' }
  const dead = { pid: 1, startTime: '0', bootId: 'b' }
  const strange: Record<string, unknown> = {
    'no JSON': '{',
    'of another process than its name says': { process: { ...dead, pid: 2 }, steps: [] },
    'with a step of an unknown kind': { process: dead, steps: [{ ...here, kind: 'file', path: '/etc/passwd' }] },
    'with a setting that is no business of ours': {
      process: dead,
      steps: [{ ...here, kind: 'setting', name: '../kernel/core_pattern', value: '1', before: {} }],
    },
    'with a setting to put back that is none of those': {
      process: dead,
      steps: [
        { ...here, kind: 'setting', name: 'ipv4/ip_forward', value: '1', before: { '../kernel/core_pattern': '0' } },
      ],
    },
    'with a setting to put back that climbs': {
      process: dead,
      steps: [
        { ...here, kind: 'setting', name: 'ipv4/ip_forward', value: '1', before: { 'ipv4/conf/../forwarding': '0' } },
      ],
    },
    'with a value that is none': {
      process: dead,
      steps: [{ ...here, kind: 'setting', name: 'ipv4/ip_forward', value: '1', before: { 'ipv4/ip_forward': '|x' } }],
    },
    'with a table that is not ours': {
      process: dead,
      steps: [{ ...here, kind: 'table', table: 'filter', comment: 'made by tapswitch, process 1, started 1' }],
    },
    'with a bridge that was not made here': {
      process: dead,
      steps: [{ ...here, kind: 'bridge', bridge: 'br0', mac: '02:00:00:00:00:01' }],
    },
    'with arguments of its own': {
      process: dead,
      steps: [{ ...here, kind: 'link', device: 'lo', index: 1, before: ['netns', '1'] }],
    },
    'in a namespace elsewhere': { process: dead, steps: [{ ...gone('a'), netns: '../../etc/passwd' }] },
  }
  for (const [what, record] of Object.entries(strange)) {
    it(`refuses a record ${what}, and touches nothing`, async () => {
      leave('tap-7.json', { pid: 7, startTime: '0' })
      const text = typeof record === 'string' ? record : JSON.stringify(record)
      writeFileSync(join(folder, 'tap-1.json'), text, { mode: 0o600 })
      await assert.rejects(
        journal.recover(),
        (error: Error) =>
          error instanceof OperatorError && /tap-1\.json" is not a record that this/.test(error.message),
      )
      assert.deepEqual(readdirSync(folder).sort(), ['tap-1.json', 'tap-7.json'])
      assert.deepEqual(log.lines, [])
    })
  }

  it('reads back all that it writes', async () => {
    const steps: UndoStep[] = [
      gone('tap0'),
      { ...here, netns: 'lab 1', kind: 'bridge', bridge: 'br0', mac: madeUpMac(folder, 'bridge', 'br0', 'lab 1') },
      {
        ...here,
        kind: 'setting',
        name: 'ipv4/ip_forward',
        value: '1',
        before: { 'ipv4/ip_forward': '0', 'ipv4/conf/all/accept_redirects': '1', 'ipv4/conf/eth0.5/forwarding': '0' },
      },
      {
        ...here,
        kind: 'setting',
        name: 'ipv6/conf/tap0/disable_ipv6',
        value: '1',
        before: { 'ipv6/conf/tap0/disable_ipv6': '0' },
      },
      { ...here, kind: 'address', device: 'tap0', index: 4, address: '10.9.0.1/24' },
      { ...here, kind: 'link', device: 'tap0', index: 4, before: ['nomaster'] },
      {
        ...here,
        kind: 'link',
        device: 'tap0',
        index: 4,
        before: ['address', '02:00:00:00:00:01', 'mtu', '1500', 'down'],
      },
    ]
    for (const step of steps) journal.add(step)
    const text = readFileSync(own(), 'utf8')
    assert.deepEqual(parseRecord(text, folder)?.steps, steps)
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
