/** A strict reader of Prometheus's text format, version 0.0.4: it throws on whatever a scraper could stumble over. */
import assert from 'node:assert/strict'

export interface Exposition {
  /** By family name. */
  readonly families: ReadonlyMap<string, { type: string; help: string }>
  /** By the series as written, e.g. `name{label="value"}`. */
  readonly series: ReadonlyMap<string, number>
  /** Throws when there is no such series. */
  value(series: string): number
}

const SAMPLE = /^([a-z_][a-z0-9_]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+\})? (\S+)$/

export function parseExposition(text: string): Exposition {
  const families = new Map<string, { type: string; help: string }>()
  const series = new Map<string, number>()
  let current = ''
  let help = ''
  assert.ok(text.endsWith('\n'), 'the last line ends')
  for (const line of text.split('\n')) {
    if (line === '') continue
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line)
    if (comment) {
      const [, what, name, said] = comment
      if (what === 'HELP') {
        assert.ok(!families.has(name), `${name} has one HELP`)
        current = name
        help = said
        families.set(name, { type: '', help })
      } else {
        assert.equal(name, current, 'TYPE follows HELP')
        assert.equal(families.get(name)?.type, '', `${name} has one TYPE`)
        assert.match(said, /^(counter|gauge|histogram|summary)$/)
        families.set(name, { type: said, help })
      }
      continue
    }
    const sample = SAMPLE.exec(line)
    assert.ok(sample, `not a sample: ${line}`)
    const [, name, labels = '', number] = sample
    const suffixed = families.get(current)?.type === 'histogram' ? name.replace(/_(bucket|sum|count)$/, '') : name
    assert.equal(suffixed, current, `${line} stands below its own HELP and TYPE`)
    const key = name + labels
    assert.ok(!series.has(key), `${key} appears once`)
    assert.ok(Number.isFinite(Number(number)), line)
    series.set(key, Number(number))
  }
  for (const [name, { type, help }] of families) {
    assert.notEqual(type, '', `${name} has a TYPE`)
    assert.ok(help.length > 0)
    if (type === 'counter') assert.match(name, /_total$/)
  }
  return {
    families,
    series,
    value(key) {
      const found = series.get(key)
      assert.ok(found !== undefined, `there is no ${key}`)
      return found
    },
  }
}
