import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loggerTo } from '#src/cli/log.js'
import { Reloader, type ReloadResult } from '#src/cli/reloader.js'
import type { Config } from '#src/config/config.js'
import { OperatorError } from '#src/errors.js'
import { load } from '../config/load-text.js'

const started = load('')
const nothing: ReloadResult = { added: [], removed: [], kept: [], changed: [], needsRestart: [] }

type Line = Partial<Record<'level' | 'msg' | 'added' | 'needsRestart' | 'problem' | 'problems', unknown>>

function reloader(parts: { load: () => Config; apply?: (config: Config) => Promise<ReloadResult> }) {
  const lines: Line[] = []
  const log = loggerTo({ write: line => void lines.push(JSON.parse(line)) }, 'debug')
  return { lines, reloader: new Reloader({ apply: async () => nothing, started, log, ...parts }) }
}

describe('a reload', () => {
  it('logs what changed, and what waits for the next start', async () => {
    const next = load('http: false\nlog: { level: debug }')
    const apply = async () => ({ ...nothing, added: ['vms'], needsRestart: ['switch.maxPorts'] })
    const { lines, reloader: served } = reloader({ load: () => next, apply })
    await served.request()
    assert.equal(lines.length, 1)
    assert.equal(lines[0].msg, 'configuration reloaded')
    assert.deepEqual(lines[0].added, ['vms'])
    assert.deepEqual(lines[0].needsRestart, ['switch.maxPorts', 'http', 'log.level'])
  })

  it('logs the problems of a file that is not valid, and applies nothing', async () => {
    const apply = () => assert.fail('applied')
    const { lines, reloader: served } = reloader({ load: () => load('swich: 1'), apply })
    await served.request()
    assert.deepEqual(
      [lines[0].level, lines[0].msg, lines[0].problems],
      [
        'error',
        'configuration not reloaded, the running one stays',
        [{ path: 'swich', message: 'unknown option, did you mean switch?' }],
      ],
    )
  })

  it('logs why the switch could not apply it', async () => {
    const apply = () => Promise.reject(new OperatorError('in use', { path: 'transports[0].listen' }))
    const { lines, reloader: served } = reloader({ load: () => started, apply })
    await served.request()
    assert.equal(lines[0].problem, 'transports[0].listen: in use')
  })

  it('waits for the one before', async () => {
    const order: string[] = []
    const apply = async () => {
      order.push('begin')
      await new Promise(setImmediate)
      order.push('end')
      return nothing
    }
    const { reloader: served } = reloader({ load: () => started, apply })
    await Promise.all([served.request(), served.request()])
    assert.deepEqual(order, ['begin', 'end', 'begin', 'end'])
  })

  it('is not begun once the switch stops, and ends before it does', async () => {
    const next = load('transports: [{ name: a, type: unixgram, listen: a }]')
    let applied = 0
    const apply = async () => {
      await new Promise(setImmediate)
      applied++
      return nothing
    }
    const { reloader: served } = reloader({ load: () => next, apply })
    void served.request()
    await served.close()
    assert.equal(applied, 1)
    await served.request()
    assert.equal(applied, 1)
  })
})
