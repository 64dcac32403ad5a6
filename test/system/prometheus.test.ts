/**
 * What is shipped for Prometheus, judged by Prometheus: the rules, the metrics, and a server that scrapes a switch
 * under known traffic.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { parse, stringify } from 'yaml'
import { dashboardQueries } from '../support/dashboard.js'
import { eventually } from '../support/eventually.js'
import { ALICE, arpRequest, BOB, frame, groupSource } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numbered } from '../support/numbered.js'
import { PacedSender } from '../support/paced-sender.js'
import { projectRoot } from '../support/project-root.js'
import { Prometheus } from '../support/prometheus.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'

const config = (file: string) => join(projectRoot, 'config', file)

function promtool(args: string[], input = ''): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8', timeout: 60_000 })
  return { status, text: stdout + stderr }
}

describe('promtool', requirements({ commands: ['promtool'] }), () => {
  it('finds the rules and the configuration in order', () => {
    const { status, text } = promtool(['check', 'config', '--lint=all', '--lint-fatal', config('prometheus.yml')])
    assert.equal(status, 0, text)
    assert.match(text, /1 rule files found/)
  })

  it('sees every alert fire where it should and nowhere else', () => {
    const { status, text } = promtool(['test', 'rules', join(projectRoot, 'test/prometheus/alerts.yml')])
    assert.equal(status, 0, text)
  })
})

/**
 * Each second. Small enough for a busy machine, large enough for a rate over 40 s to have whole numbers of frames in
 * it.
 */
const unicastRate = 500
const broadcastRate = 20
const invalidRate = 25
const windowSeconds = 40

/**
 * A sample is stamped when the scrape begins and read when it is answered, and what PacedSender noted as sent is
 * counted when the switch receives it: on a machine that stalls for a second, a second in forty.
 */
const tolerance = 1 / windowSeconds

describe('a Prometheus server', { timeout: 240_000, ...requirements({ commands: ['prometheus'] }) }, () => {
  let lab: Lab
  let running: SwitchProcess
  let prometheus: Prometheus
  let unicast: PacedSender
  let broadcast: PacedSender
  let invalid: PacedSender

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
    const bob = lab.qemu('bob.sock', 'vms.sock')
    await bob.send(frame(BOB, BOB))
    await eventually(
      () => running.api.ports(),
      ports => ports.length === 1,
      'the port of bob',
    )
    const alice = lab.qemu('alice.sock', 'vms.sock')
    const reading = new AbortController()
    const read = (async () => {
      while (!reading.signal.aborted) {
        bob.receiveNow()
        await delay(10)
      }
    })()
    unicast = new PacedSender(alice, numbered(BOB, ALICE, 0), unicastRate)
    broadcast = new PacedSender(alice, arpRequest, broadcastRate)
    invalid = new PacedSender(alice, groupSource, invalidRate)
    prometheus = await startPrometheus(lab, running.url)
    lab.onClose(async () => {
      await Promise.all([unicast, broadcast, invalid].map(sender => sender.stop()))
      reading.abort()
      await read
      await prometheus.close()
    })
    for (const sender of [unicast, broadcast, invalid]) sender.start()
    await delay((windowSeconds + 12) * 1000)
  })

  after(() => lab?.close())

  it('sees the rates that were sent', async t => {
    const port = 'port="vms:2"'
    const at = await prometheus.value(`timestamp(tapswitch_port_receive_frames_total{${port}})`)
    const rateOf = (query: string) => prometheus.value(query.replace('WINDOW', `${windowSeconds}s`), at)
    const sentRate = (...senders: PacedSender[]) =>
      senders.reduce((sum, sender) => sum + sender.rateBetween((at - windowSeconds) * 1000, at * 1000), 0)
    const bytesSent = (...senders: PacedSender[]) =>
      senders.reduce((sum, sender) => sum + sender.frame.length * sentRate(sender), 0)
    const expected: [string, number][] = [
      [`rate(tapswitch_port_receive_frames_total{${port}}[WINDOW])`, sentRate(unicast, broadcast, invalid)],
      [`rate(tapswitch_port_receive_bytes_total{${port}}[WINDOW])`, bytesSent(unicast, broadcast, invalid)],
      [`rate(tapswitch_port_receive_drop_total{${port},reason="invalid-source"}[WINDOW])`, sentRate(invalid)],
      [`rate(tapswitch_port_transmit_frames_total{port="vms:1"}[WINDOW])`, sentRate(unicast, broadcast)],
      [`rate(tapswitch_port_transmit_bytes_total{port="vms:1"}[WINDOW])`, bytesSent(unicast, broadcast)],
      [`rate(tapswitch_flood_frames_total{cause="broadcast"}[WINDOW])`, sentRate(broadcast)],
    ]
    for (const [query, sent] of expected) {
      const seen = await rateOf(query)
      t.diagnostic(`${query}: seen ${seen.toFixed(2)}, sent ${sent.toFixed(2)}`)
      assert.ok(Math.abs(seen / sent - 1) <= tolerance, `${query}: seen ${seen}, sent ${sent}`)
    }
    assert.ok(sentRate(unicast) > 0.8 * unicastRate, `the generator managed ${sentRate(unicast)} frames/s`)
  })

  it('sees data for every query of the dashboard', async () => {
    const empty: string[] = []
    for (const { of, expression } of dashboardQueries('10s')) {
      if ((await prometheus.query(expression)).length === 0) empty.push(`${of}: ${expression}`)
    }
    const quiet = /^(Restarts of the data plane|Dropped on the way out|Discarded by transports): /
    assert.deepEqual(
      empty.filter(line => !quiet.test(line)),
      [],
    )
  })

  it('evaluates every rule, and none fires', async () => {
    const { groups } = (await prometheus.get('rules')) as {
      groups: { rules: { name: string; health: string; state: string; lastError?: string }[] }[]
    }
    const rules = groups.flatMap(group => group.rules)
    assert.ok(rules.length > 10)
    assert.deepEqual(
      rules.filter(({ health, state }) => health !== 'ok' || state === 'firing').map(rule => JSON.stringify(rule)),
      [],
    )
  })

  it('has counted every frame once traffic has ended', async () => {
    await Promise.all([unicast, broadcast, invalid].map(sender => sender.stop()))
    const total = unicast.sent + broadcast.sent + invalid.sent
    const seen = () => prometheus.value('tapswitch_port_receive_frames_total{port="vms:2"}')
    assert.equal(await eventually(seen, value => value >= total, `all ${total} frames`, 20_000), total)
  })

  it('is told of an address that flaps', async () => {
    const [here, there] = ['here.sock', 'there.sock'].map(name => lab.qemu(name, 'vms.sock'))
    for (let i = 0; i < 4; i++) {
      for (const peer of [here, there]) await peer?.send(frame(BOB, '02:00:00:00:00:0f'))
    }
    const alerts = async () => (await prometheus.get('alerts')) as { alerts: { labels: Record<string, string> }[] }
    await eventually(
      alerts,
      ({ alerts }) => alerts.some(({ labels }) => labels['alertname'] === 'TapswitchFlapping'),
      'the alert',
      20_000,
    )
    assert.equal(await prometheus.value('tapswitch_fdb_flapping_total'), 1)
  })

  it('finds the names and help texts in order', requirements({ commands: ['promtool'] }), async () => {
    const { text } = promtool(['check', 'metrics'], await (await fetch(`${running.url}/metrics`)).text())
    const complaints = text.split('\n').filter(line => line !== '')
    assert.deepEqual(complaints.sort(), knownComplaints)
  })
})

/** prom-client's own names, which dashboards for Node.js know; docs/metrics.md says so. */
const knownComplaints = ['handles', 'requests', 'resources'].map(
  what => `nodejs_active_${what}_total non-counter metrics should not have "_total" suffix`,
)

/** The shipped configuration and rules, with this switch as the target and a second between scrapes. */
async function startPrometheus(lab: Lab, url: string): Promise<Prometheus> {
  const shipped = parse(await readFile(config('prometheus.yml'), 'utf8'))
  const file = lab.path('prometheus.yml')
  const own = {
    ...shipped,
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [config('prometheus-alerts.yml')],
    scrape_configs: [{ ...shipped.scrape_configs[0], static_configs: [{ targets: [new URL(url).host] }] }],
  }
  await writeFile(file, stringify(own))
  return Prometheus.start(file, lab.path('prometheus'))
}
