import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, beforeEach, describe, it } from 'node:test'
import { batchBuckets, endpointDropReasons, PortField, SwitchField } from '#src/dataplane/shared-memory.js'
import { findingCodeNames } from '#src/finding-codes.js'
import { Metrics } from '#src/http/metrics.js'
import type { HttpServer } from '#src/http/server.js'
import { floodCauses, receiveDropReasons, transmitDropReasons } from '#src/switch/drop-reason.js'
import { ask } from './client.js'
import { type FakeView, fakePort, fakeView, recordingLog, serve } from './fake-view.js'
import { type Exposition, parseExposition } from './parse-exposition.js'

let view: FakeView
let metrics: Metrics
const scrape = async (): Promise<Exposition> => parseExposition(await metrics.scrape())

beforeEach(() => {
  view = fakeView()
  metrics = new Metrics(view)
})

describe('a scrape', () => {
  it('shows what the port counted under the name of the port', async () => {
    const { cells } = view.counters
    const row = view.counters.portRow(2)
    const expected = {
      tapswitch_port_receive_frames_total: PortField.receiveFrames,
      tapswitch_port_receive_bytes_total: PortField.receiveBytes,
      tapswitch_port_transmit_frames_total: PortField.transmitFrames,
      tapswitch_port_transmit_bytes_total: PortField.transmitBytes,
      tapswitch_port_transmit_queue_frames: PortField.queueFrames,
      tapswitch_port_transmit_queue_high_water_frames: PortField.queueHighWater,
      tapswitch_port_receive_pauses_total: PortField.pauses,
      tapswitch_fdb_entries: PortField.fdbEntries,
    }
    for (const field of Object.values(expected)) cells[row + field] = 100 + field
    receiveDropReasons.forEach((_, i) => {
      cells[row + PortField.receiveDrop + i] = 200 + i
    })
    transmitDropReasons.forEach((_, i) => {
      cells[row + PortField.transmitDrop + i] = 300 + i
    })
    const { value } = await scrape()
    for (const [name, field] of Object.entries(expected)) {
      assert.equal(value(`${name}{port="vms:2"}`), 100 + field)
      assert.equal(value(`${name}{port="vms:1"}`), 0)
    }
    receiveDropReasons.forEach((reason, i) => {
      assert.equal(value(`tapswitch_port_receive_drop_total{port="vms:2",reason="${reason}"}`), 200 + i)
    })
    transmitDropReasons.forEach((reason, i) => {
      assert.equal(value(`tapswitch_port_transmit_drop_total{port="vms:2",reason="${reason}"}`), 300 + i)
    })
    assert.equal(value('tapswitch_port_up{port="vms:2"}'), 1)
    cells[row + PortField.up] = 0
    assert.equal((await scrape()).value('tapswitch_port_up{port="vms:2"}'), 0)
  })

  it('shows what the switch counted', async () => {
    const { cells } = view.counters
    const expected = {
      tapswitch_dataplane_turns_total: SwitchField.turns,
      tapswitch_dataplane_busy_seconds_total: SwitchField.busySeconds,
      tapswitch_fdb_learned_total: SwitchField.fdbLearned,
      tapswitch_fdb_moved_total: SwitchField.fdbMoved,
      tapswitch_fdb_aged_total: SwitchField.fdbAged,
      tapswitch_fdb_refused_total: SwitchField.fdbRefused,
      tapswitch_fdb_flapping_total: SwitchField.fdbFlapping,
      tapswitch_frame_pool_free_slots: SwitchField.poolFree,
      tapswitch_frame_pool_slots: SwitchField.poolSlots,
      tapswitch_events_suppressed_total: SwitchField.eventsSuppressed,
    }
    for (const field of Object.values(expected)) cells[field] = field + 0.5
    floodCauses.forEach((_, i) => {
      cells[SwitchField.flood + i] = 2 ** 53 - 1 - i
    })
    endpointDropReasons.forEach((_, i) => {
      cells[view.counters.endpointRow(0) + i] = 70 + i
    })
    const { value } = await scrape()
    for (const [name, field] of Object.entries(expected)) assert.equal(value(name), field + 0.5)
    floodCauses.forEach((cause, i) => {
      assert.equal(value(`tapswitch_flood_frames_total{cause="${cause}"}`), 2 ** 53 - 1 - i)
    })
    endpointDropReasons.forEach((reason, i) => {
      assert.equal(value(`tapswitch_transport_receive_drop_total{transport="vms",reason="${reason}"}`), 70 + i)
    })
    assert.equal(value('tapswitch_fdb_capacity'), 16384)
    assert.equal(value('tapswitch_dataplane_up'), 1)
    assert.equal(value('tapswitch_dataplane_restarts_total'), 0)
    assert.equal(value('tapswitch_log_lines_dropped_total'), 6)
    const platform = `${process.platform}-${process.arch}`
    const build = `tapswitch_build_info{version="1.2.3",node="${process.versions.node}",platform="${platform}"}`
    assert.equal(value(build), 1)
  })

  it('has every drop reason and flood cause from the start, with 0', async () => {
    const { value } = await scrape()
    for (const port of ['vms:1', 'vms:2']) {
      for (const reason of receiveDropReasons) {
        assert.equal(value(`tapswitch_port_receive_drop_total{port="${port}",reason="${reason}"}`), 0)
      }
      for (const reason of transmitDropReasons) {
        assert.equal(value(`tapswitch_port_transmit_drop_total{port="${port}",reason="${reason}"}`), 0)
      }
    }
    for (const cause of floodCauses) assert.equal(value(`tapswitch_flood_frames_total{cause="${cause}"}`), 0)
    for (const reason of endpointDropReasons) {
      assert.equal(value(`tapswitch_transport_receive_drop_total{transport="vms",reason="${reason}"}`), 0)
    }
  })

  it('shows batch sizes as a cumulative histogram', async () => {
    const { cells } = view.counters
    const counts = [5, 0, 3, 1, 0, 0, 2, 4]
    assert.equal(counts.length, batchBuckets.length + 1)
    cells.set(counts, SwitchField.batchBucket)
    cells[SwitchField.batchSum] = 321
    cells[SwitchField.batchCount] = 15
    const { value } = await scrape()
    const cumulative = [5, 5, 8, 9, 9, 9, 11, 15]
    for (const [i, bound] of [...batchBuckets, '+Inf'].entries()) {
      assert.equal(value(`tapswitch_dataplane_batch_frames_bucket{le="${bound}"}`), cumulative[i])
    }
    assert.equal(value('tapswitch_dataplane_batch_frames_sum'), 321)
    assert.equal(value('tapswitch_dataplane_batch_frames_count'), 15)
  })

  it('shows no series of a port that went, and all of one that came', async () => {
    const seriesOf = ({ series }: Exposition, port: string) =>
      [...series.keys()].filter(key => key.includes(`port="${port}"`))
    const before = seriesOf(await scrape(), 'vms:1')
    assert.ok(before.length > 15)
    view.portList = [fakePort(2, null), fakePort(3, null)]
    const after = await scrape()
    assert.deepEqual(seriesOf(after, 'vms:1'), [])
    assert.deepEqual(
      seriesOf(after, 'vms:3').map(key => key.replace('vms:3', 'vms:2')),
      seriesOf(after, 'vms:2'),
    )
  })

  it('takes a changed mode into the labels at once', async () => {
    const info = (mode: string) => `tapswitch_port_info{port="vms:2",transport="vms",kind="unixgram",mode="${mode}"}`
    assert.equal((await scrape()).value(info('')), 1)
    view.portList = [{ ...fakePort(2, null), mode: 'shared' }]
    const { value, series } = await scrape()
    assert.equal(value(info('shared')), 1)
    assert.equal(series.has(info('')), false)
  })

  it('has no series that a guest names: the peer is in none, whatever it is called', async () => {
    const before = [...(await scrape()).series.keys()]
    view.portList = [fakePort(1, '/tmp/chosen-by-a-guest'), fakePort(2, '@chosen-by-a-guest')]
    assert.deepEqual([...(await scrape()).series.keys()], before)
  })

  it('counts what is wrong now by code, with 0 for every other code', async () => {
    const code = 'port-limit'
    const [subject, since] = [{ kind: 'transport', name: 'vms' } as const, '2025-01-02T03:04:05.678Z']
    const finding = {
      code,
      severity: 'error',
      subject,
      message: 'm',
      detail: {},
      count: 9,
      since,
      lastSeen: since,
    } as const
    view.findingList = [finding, { ...finding, subject: { kind: 'transport', name: 'db' } }]
    const { value } = await scrape()
    for (const name of findingCodeNames)
      assert.equal(value(`tapswitch_findings{code="${name}"}`), name === code ? 2 : 0)
  })

  it('never has a MAC or IP address in a label, though the FDB is full of them', async () => {
    view.portList = [fakePort(1, '10.1.2.3:7001')]
    for (const key of (await scrape()).series.keys()) {
      assert.doesNotMatch(key, /([0-9a-f]{2}:){5}|\d+\.\d+\.\d+\.\d+/i)
    }
  })

  it('escapes what a label cannot hold', async () => {
    view.portList = [{ ...fakePort(1, null), name: 'a"b\\c\nd' }]
    assert.match(await metrics.scrape(), /port_up\{port="a\\"b\\\\c\\nd"\} 1\n/)
  })

  it('asks the view for each list once', async () => {
    const asked: string[] = []
    for (const list of ['info', 'ports', 'transports', 'fdb'] as const) {
      const original = view[list] as (...query: unknown[]) => unknown
      const counting = (...query: unknown[]) => {
        asked.push(list)
        return original(...query)
      }
      Object.assign(view, { [list]: counting })
    }
    await metrics.scrape()
    assert.deepEqual(asked.sort(), ['info', 'ports', 'transports'])
  })
})

describe('/metrics', () => {
  let server: HttpServer
  before(async () => {
    server = await serve(fakeView(), '127.0.0.1:0', recordingLog())
  })
  after(() => server.close())

  it('is Prometheus text, whatever else is accepted', async () => {
    for (const accept of ['*/*', 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5']) {
      const answer = await ask(server.url, '/metrics', { headers: { accept } })
      assert.equal(answer.status, 200)
      assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
      assert.ok(parseExposition(answer.body).families.size > 30)
    }
  })

  it('is the same when the server is started a second time', async () => {
    const second = await serve(fakeView(), '127.0.0.1:0', recordingLog())
    const [one, two] = await Promise.all([server, second].map(({ url }) => ask(url, '/metrics')))
    await second.close()
    assert.deepEqual([...parseExposition(two.body).families.keys()], [...parseExposition(one.body).families.keys()])
  })
})

describe('docs/metrics.md', () => {
  interface Documented {
    type: string
    labels: string
    linuxOnly: boolean
  }

  const ROW = /^\| `(\w+)` \| (\w+) \|([^|]*)\| (.*) \|$/gm
  const documented = new Map<string, Documented>()
  const page = readFileSync(new URL('../../../../docs/metrics.md', import.meta.url), 'utf8')
  for (const [, name, type, labels, meaning] of page.matchAll(ROW)) {
    assert.ok(!documented.has(name), `${name} is documented twice`)
    const named = [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label)
    documented.set(name, { type, labels: named.sort().join(), linuxOnly: meaning.includes('Linux only') })
  }

  it('has every metric, with its type, and no other', async () => {
    const { families } = await scrape()
    const isHere = ({ linuxOnly }: Documented) => !linuxOnly || process.platform === 'linux'
    const said = [...documented].filter(([, one]) => isHere(one)).map(([name, { type }]) => `${name} ${type}`)
    assert.deepEqual([...families].map(([name, { type }]) => `${name} ${type}`).sort(), said.sort())
  })

  it('has the labels of every metric', async () => {
    const { families, series } = await scrape()
    for (const key of series.keys()) {
      const name = key.replace(/\{.*/s, '')
      const family = families.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '')
      const labels = [...key.matchAll(/(\w+)="/g)].map(([, label]) => label).filter(label => label !== 'le')
      assert.equal(labels.sort().join(), documented.get(family)?.labels, key)
    }
  })

  it('has every reason and cause, once for each metric that has it', () => {
    const all = [...receiveDropReasons, ...transmitDropReasons, ...endpointDropReasons, ...floodCauses]
    const rows = [...page.matchAll(/^\| `([\w-]+)` \| [^|]+ \|$/gm)].map(([, value]) => value)
    assert.deepEqual(rows.filter(value => value !== 'reason' && value !== 'cause').sort(), all.sort())
  })
})
