/** config/grafana-dashboard.json as tests see it: panels, and queries with Grafana's variables filled in. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from './project-root.js'

export interface Panel {
  id: number
  type: string
  title: string
  gridPos: { x: number; y: number; w: number; h: number }
  datasource?: { type: string; uid: string }
  targets?: { expr: string; refId: string; datasource: { type: string; uid: string } }[]
}

interface Variable {
  name: string
  type: string
  query: string | { query: string }
}

export interface Dashboard {
  title: string
  schemaVersion: number
  templating: { list: Variable[] }
  annotations: { list: { name: string; expr?: string }[] }
  panels: Panel[]
}

export const dashboard = JSON.parse(
  readFileSync(join(projectRoot, 'config/grafana-dashboard.json'), 'utf8'),
) as Dashboard

export interface Query {
  /** Title of the panel or name of the annotation. */
  of: string
  expression: string
}

/** As Grafana sends them when everything is selected. */
export function dashboardQueries(rateInterval: string): Query[] {
  const fill = (expression: string) =>
    expression
      .replaceAll('$__rate_interval', rateInterval)
      .replaceAll('$job', 'tapswitch')
      .replaceAll(/\$(instance|port)/g, '.+')
  return [
    ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ of: title, expr }))),
    ...dashboard.annotations.list.flatMap(({ name, expr }) => (expr === undefined ? [] : [{ of: name, expr }])),
  ].map(({ of, expr }) => ({ of, expression: fill(expr) }))
}

/** Names of metrics in a PromQL expression: every word that has this project's or prom-client's prefix. */
export function metricNames(expression: string): string[] {
  const withoutLabels = expression.replaceAll(/\{[^}]*\}/g, '').replaceAll(/"[^"]*"/g, '')
  return [...new Set(withoutLabels.match(/\b(?:tapswitch|process|nodejs)_\w+/g) ?? [])]
}
