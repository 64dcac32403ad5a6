/**
 * The files for Prometheus and Grafana, as far as this can be judged without those programs;
 * test/system/prometheus.test.ts has them.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { Metrics } from '#src/http/metrics.js'
import { dashboard, dashboardQueries, metricNames } from '../../support/dashboard.js'
import { projectRoot } from '../../support/project-root.js'
import { fakeView } from './fake-view.js'
import { parseExposition } from './parse-exposition.js'

interface Rule {
  alert: string
  expr: string
  labels: { severity: string }
  annotations: { summary: string; description: string }
}

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8')
const rules = (parse(read('config/prometheus-alerts.yml')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  group => group.rules,
)

/** Names that a query may use. A histogram has its series only once something was observed, but always these. */
async function exposedNames(): Promise<Set<string>> {
  const { families } = parseExposition(await new Metrics(fakeView()).scrape())
  const names = [...families].flatMap(([name, { type }]) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  )
  return new Set(names)
}

/** Not there on every platform; see docs/metrics.md. */
const linuxOnly = ['process_open_fds', 'process_max_fds']

describe('every metric that is named', () => {
  const users = [
    ...dashboardQueries('1m').map(({ of, expression }) => [`dashboard: ${of}`, expression]),
    ...dashboard.templating.list.map(({ name, query }) => [
      `variable ${name}`,
      typeof query === 'string' ? query : query.query,
    ]),
    ...rules.map(({ alert, expr }) => [`rule ${alert}`, expr]),
  ] as [string, string][]

  it('is exposed', async () => {
    const exposed = await exposedNames()
    const missing = users.flatMap(([user, expression]) =>
      metricNames(expression)
        .filter(name => !exposed.has(name) && !(process.platform !== 'linux' && linuxOnly.includes(name)))
        .map(name => `${user}: ${name}`),
    )
    assert.deepEqual(missing, [])
  })

  it('is found by this test', () => {
    const found = new Set(users.flatMap(([, expression]) => metricNames(expression)))
    assert.ok(found.has('tapswitch_fdb_flapping_total') && found.has('tapswitch_dataplane_batch_frames_bucket'))
    assert.ok(found.size > 30, `${found.size} names`)
  })
})

describe('the alerts', () => {
  it('each have a case in which they fire', () => {
    interface Suite {
      tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[]
    }
    const cases = (parse(read('test/prometheus/alerts.yml')) as Suite).tests.flatMap(test => test.alert_rule_test)
    for (const { alert } of rules) {
      const expected = cases.filter(({ alertname }) => alertname === alert).map(({ exp_alerts }) => exp_alerts.length)
      assert.ok(Math.max(...expected) > 0, `${alert} is never expected to fire`)
    }
    assert.deepEqual(
      cases.filter(({ alertname }) => !rules.some(({ alert }) => alert === alertname)),
      [],
    )
  })

  it('say how bad it is and what to look at', () => {
    for (const { alert, labels, annotations } of rules) {
      assert.match(labels.severity, /^(critical|warning|info)$/, alert)
      assert.ok(annotations.summary.length > 10 && annotations.description.length > 40, alert)
    }
  })
})

/** Grafana's notation for the variable `datasource`. */
const CHOSEN = ['$', '{datasource}'].join('')

describe('the dashboard', () => {
  const { panels, templating } = dashboard

  it('asks whatever Prometheus is chosen, and has a variable for the port', () => {
    const [datasource, ...others] = templating.list
    assert.deepEqual([datasource?.name, datasource?.type], ['datasource', 'datasource'])
    assert.deepEqual(
      others.map(({ name }) => name),
      ['job', 'instance', 'port'],
    )
    for (const { title, type, targets = [] } of panels.filter(panel => panel.type !== 'row')) {
      assert.ok(targets.length > 0, `${title} (${type}) asks nothing`)
      for (const { datasource } of targets) assert.deepEqual(datasource, { type: 'prometheus', uid: CHOSEN })
    }
  })

  it('uses no variable that it does not have', () => {
    const known = [...templating.list.map(({ name }) => name), '__rate_interval', '__all']
    const used = [...read('config/grafana-dashboard.json').matchAll(/\$\{?(\w+)\}?/g)].map(match => match[1] as string)
    assert.deepEqual(
      [...new Set(used)].filter(name => !known.includes(name)),
      [],
    )
  })

  it('has panels that do not overlap and are within its 24 columns', () => {
    const taken = new Map<string, string>()
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
    for (const { title, gridPos } of panels) {
      assert.ok(gridPos.x + gridPos.w <= 24, title)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.equal(taken.get(`${x},${y}`), undefined, `${title} at ${x},${y}`)
          taken.set(`${x},${y}`, title)
        }
      }
    }
  })
})
