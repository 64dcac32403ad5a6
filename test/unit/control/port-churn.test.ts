import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { EventBus } from '#src/control/event-bus.js'
import { PortChurn } from '#src/control/port-churn.js'
import { recordingLogger } from '../../support/recording-logger.js'

describe('PortChurn', () => {
  let log: ReturnType<typeof recordingLogger>
  let bus: EventBus
  let now: number
  let churn: PortChurn
  const events = () => bus.after(0, 10_000).events.map(({ event }) => event)

  beforeEach(() => {
    log = recordingLogger()
    bus = new EventBus()
    now = 0
    churn = new PortChurn({ log, bus, now: () => now })
  })
  afterEach(() => churn.close())

  it('lets a rack of VMs boot', () => {
    for (let i = 0; i < 512; i++) assert.ok(churn.admit('vms'))
    assert.deepEqual(events(), [])
  })

  it('admits 32 a second of what one transport does without end, and all that another does', () => {
    let admitted = 0
    for (; now < 60_000; now += 1) {
      if (churn.admit('vms')) admitted++
      if (now % 1000 === 0) {
        churn.tell()
        assert.ok(churn.admit('db'))
      }
    }
    assert.ok(admitted >= 512 + 59 * 32 && admitted <= 512 + 61 * 32, `${admitted}`)
    assert.equal(churn.suppressed, 60_000 - admitted)
  })

  it('tells readers at once, then once a second, and never forgets one', () => {
    for (let i = 0; i < 600; i++) churn.admit('vms')
    assert.deepEqual(events(), [{ type: 'events-suppressed', transport: 'vms', count: 1 }])
    churn.tell()
    now += 1000
    churn.tell()
    assert.deepEqual(events().slice(1), [{ type: 'events-suppressed', transport: 'vms', count: 87 }])
  })

  it('writes one line in ten seconds', () => {
    for (; now <= 60_000; now += 10) {
      churn.admit('vms')
      if (now % 1000 === 0) churn.tell()
    }
    assert.ok(log.lines.length >= 4 && log.lines.length <= 6, `${log.lines.length} lines`)
    assert.match(String(log.lines[1]?.message), /^\d+ more events of ports that came and went in 1[01] s$/)
  })
})
