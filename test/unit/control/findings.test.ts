import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { EventBus } from '#src/control/event-bus.js'
import { type FindingSubject, Findings } from '#src/control/findings.js'
import { recordingLogger } from '../../support/recording-logger.js'

const vms: FindingSubject = { kind: 'transport', name: 'vms' }
const portOf = (name: string, transport = 'vms'): FindingSubject => ({ kind: 'port', name, transport })

describe('Findings', () => {
  let log: ReturnType<typeof recordingLogger>
  let bus: EventBus
  let findings: Findings
  let now: number
  let names: Map<string, string>

  beforeEach(() => {
    log = recordingLogger()
    bus = new EventBus()
    now = Date.parse('2025-01-02T03:04:05Z')
    names = new Map()
    findings = new Findings({ log, bus, portName: given => names.get(given) ?? given, now: () => now })
  })

  const events = () => bus.after(0, 10_000).events.map(({ event }) => event.type)
  const raise = (subject: FindingSubject, message = 'all ports are in use; raise switch.maxPorts') =>
    findings.raise({ code: 'port-limit', subject, message, detail: { maxPorts: 8 } })

  it('tell once what happens a thousand times, and count the rest', () => {
    for (let i = 0; i < 1000; i++) {
      now++
      raise(vms)
    }
    assert.deepEqual(log.lines, [
      {
        level: 'error',
        fields: { finding: 'port-limit', transport: 'vms', maxPorts: 8 },
        message: 'all ports are in use; raise switch.maxPorts',
      },
    ])
    assert.deepEqual(events(), ['finding-raised'])
    assert.deepEqual(findings.list(), [
      {
        code: 'port-limit',
        severity: 'error',
        subject: { kind: 'transport', name: 'vms' },
        message: 'all ports are in use; raise switch.maxPorts',
        detail: { maxPorts: 8 },
        count: 1000,
        since: '2025-01-02T03:04:05.001Z',
        lastSeen: '2025-01-02T03:04:06.000Z',
      },
    ])
  })

  it('end once, with a line and an event', () => {
    raise(vms)
    findings.clear('port-limit', vms)
    findings.clear('port-limit', vms)
    assert.deepEqual(events(), ['finding-raised', 'finding-cleared'])
    assert.deepEqual(
      log.lines.map(({ level, message }) => [level, message]),
      [
        ['error', 'all ports are in use; raise switch.maxPorts'],
        ['info', 'no longer the case: all ports are in use; raise switch.maxPorts'],
      ],
    )
    assert.deepEqual(findings.list(), [])
  })

  it('show the newest message', () => {
    raise(vms, 'the first')
    raise(vms, 'the second')
    assert.equal(findings.list()[0]?.message, 'the second')
  })

  it('go with their subject; those of a transport take those of its ports along', () => {
    raise(vms)
    raise(portOf('vms:1'))
    raise(portOf('vms:2'))
    raise(portOf('db', 'db'))
    findings.forget(portOf('vms:1'))
    assert.deepEqual(
      findings.list().map(({ subject }) => subject.name),
      ['vms', 'vms:2', 'db'],
    )
    findings.forget(vms)
    assert.deepEqual(
      findings.list().map(({ subject }) => subject.name),
      ['db'],
    )
    assert.equal(events().filter(type => type === 'finding-cleared').length, 3)
  })

  it('end by themselves after the quiet time of their code, and not before', () => {
    const duplicate = { code: 'duplicate-mac', subject: portOf('vms:2'), message: 'twice' } as const
    findings.raise(duplicate)
    now += 29_000
    findings.raise(duplicate)
    now += 29_999
    findings.expire()
    assert.equal(findings.list().length, 1)
    now += 1
    findings.expire()
    assert.deepEqual(findings.list(), [])
    raise(vms)
    now += 1e9
    findings.expire()
    assert.equal(findings.list().length, 1, 'one without a quiet time stays')
  })

  it('are known by the name that the port has now', () => {
    raise(portOf('vms:1'))
    names.set('vms:1', 'database')
    assert.equal(findings.list()[0]?.subject.name, 'database')
  })

  it('list at most 16 ports of a transport with one code, so that no guest hides what others suffer', () => {
    for (let i = 0; i < 100; i++) raise(portOf(`vms:${i}`))
    raise(portOf('db', 'db'))
    const listed = findings.list().map(({ subject }) => subject.name)
    assert.equal(listed.length, 17)
    assert.ok(listed.includes('db'))
    assert.equal(findings.notListed, 84)
  })

  it('do not fill the log or the events when a condition comes and goes as fast as a guest likes', () => {
    for (let i = 0; i < 10_000; i++) {
      raise(portOf(`vms:${i}`))
      findings.forget(portOf(`vms:${i}`))
    }
    assert.ok(log.lines.length <= 20, `${log.lines.length} lines`)
    assert.ok(events().length <= 20, `${events().length} events`)
    now += 20_000
    raise(vms)
    assert.equal((log.lines.at(-1)?.fields as { suppressed?: number } | undefined)?.suppressed, 9990)
  })

  it('put errors first, then the oldest first', () => {
    findings.raise({ code: 'duplicate-mac', subject: portOf('a'), message: 'a' })
    now++
    raise(portOf('b'))
    now++
    raise(portOf('c'))
    assert.deepEqual(
      findings.list().map(({ subject }) => subject.name),
      ['b', 'c', 'a'],
    )
  })
})
