import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { EventLog } from '#src/control/event-log.js'
import type { DataPlane } from '#src/dataplane/data-plane.js'
import type { Event } from '#src/dataplane/messages.js'
import { ALICE } from '../../support/frames.js'
import { recordingLogger } from '../../support/recording-logger.js'

describe('EventLog', () => {
  let log: ReturnType<typeof recordingLogger>
  let events: EventLog
  const dataPlane = { ports: new Map([[3, { name: 'vms:1' }]]) } as unknown as DataPlane
  const written = () => log.lines.map(({ level, fields, message }) => [level, message, fields])

  beforeEach(() => {
    log = recordingLogger()
    events = new EventLog(log, dataPlane)
  })

  it('says which port came up for whom, and that it went', () => {
    events.write({ type: 'port-up', index: 3, id: 8, peer: '/run/vm.sock', restore: null, at: 1 })
    events.write({ type: 'port-down', index: 3, id: 8, peer: null, restore: null, at: 2 })
    assert.deepEqual(written(), [
      ['info', 'port up', { port: 'vms:1', id: 8, peer: '/run/vm.sock' }],
      ['info', 'port down', { port: 'vms:1', id: 8 }],
    ])
  })

  it('names a port it has never heard of by its index', () => {
    events.write({ type: 'mac-learned', mac: ALICE, port: 5, at: 1 })
    assert.deepEqual(written(), [['debug', 'address learned', { mac: ALICE, port: '#5' }]])
  })

  it('keeps what single frames cause at debug', () => {
    events.write({ type: 'mac-moved', mac: ALICE, from: 3, to: 4, at: 1 })
    assert.deepEqual(written(), [['debug', 'address moved', { mac: ALICE, from: 'vms:1', to: '#4' }]])
  })

  it('has no line for what only machines ask about, or what is a finding', () => {
    const quiet: Event[] = [
      {
        type: 'port-added',
        index: 3,
        id: 1,
        name: 'x',
        transport: 'vms',
        kind: 'unixgram',
        staticAddresses: [],
        at: 1,
      },
      { type: 'port-removed', index: 3, id: 1, at: 1 },
      { type: 'started' },
      { type: 'mac-flapping', mac: ALICE, from: 4, port: 3, at: 1 },
      { type: 'limit-reached', port: 3, at: 1 },
    ]
    for (const event of quiet) events.write(event)
    assert.deepEqual(written(), [])
  })
})
