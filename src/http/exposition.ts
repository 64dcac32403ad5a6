/**
 * Writes Prometheus's text format (version 0.0.4) for metrics whose values lie ready in memory.
 *
 * prom-client keeps a metric's value itself, so mirroring counters through it costs a reset, a hash of the labels and a
 * validation for each series, and then the labels are put together once more to print them. A Table knows its rows'
 * labels by heart instead: everything on a line but the number is made when a row first appears, and a scrape is one
 * pass of additions to a string. Measured with 100 ports (2,000 series) on Node 20: 2.4 ms a scrape through
 * prom-client, 0.2 ms so; reading the counters out of shared memory comes on top of either.
 *
 * Nothing is remembered about a row that did not come again, so a port that went takes its series along.
 */

export interface Family<Row> {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  /** One series a row and value, e.g. one for each drop reason. */
  readonly by?: { readonly label: string; readonly values: readonly string[] }
  /** More labels than those that name the row. */
  readonly labels?: (row: Row) => Labels
  /** `value` is one of `by.values`, and empty where there is no `by`. */
  readonly read: (row: Row, value: string) => number
}

export type Labels = Readonly<Record<string, string>>

interface TableOptions<Row> {
  readonly families: readonly Family<Row>[]
  /** The labels by which the row is known in every family. */
  readonly labels: (row: Row) => Labels
  /** Changes whenever a label does. */
  readonly key: (row: Row) => string
}

/** Families that have the same rows: the ports, the transports, or the switch alone. */
export class Table<Row> {
  readonly #options: TableOptions<Row>
  readonly #heads: readonly string[]
  /** By key: the text before the number, for every series of a row in order. */
  #prefixes = new Map<string, readonly string[]>()

  constructor(options: TableOptions<Row>) {
    this.#options = options
    this.#heads = options.families.map(head)
  }

  write(rows: readonly Row[]): string {
    const { families, key } = this.#options
    const seen = new Map<string, readonly string[]>()
    const prefixes = rows.map(row => {
      const rowKey = key(row)
      const prefix = this.#prefixes.get(rowKey) ?? this.#prefixesOf(row)
      seen.set(rowKey, prefix)
      return prefix
    })
    this.#prefixes = seen

    let text = ''
    let first = 0
    for (const [i, { by, read }] of families.entries()) {
      const values = by?.values ?? NO_VALUES
      text += this.#heads[i]
      for (let r = 0; r < rows.length; r++) {
        for (let v = 0; v < values.length; v++) text += `${prefixes[r][first + v]}${read(rows[r], values[v])}\n`
      }
      first += values.length
    }
    return text
  }

  #prefixesOf(row: Row): string[] {
    const own = this.#options.labels(row)
    return this.#options.families.flatMap(({ name, by, labels }) =>
      (by?.values ?? NO_VALUES).map(value => {
        const all = { ...own, ...labels?.(row), ...(by && { [by.label]: value }) }
        return `${name}${labelSet(all)} `
      }),
    )
  }
}

const NO_VALUES = ['']

/**
 * A histogram from ready counts: `buckets[i]` of at most `bounds[i]` and more than the bound before, the last of the
 * rest.
 */
export function histogram(
  { name, help }: { name: string; help: string },
  bounds: readonly number[],
  { buckets, sum }: { buckets: readonly number[]; sum: number },
): string {
  let text = head({ name, help, type: 'histogram' })
  let count = 0
  for (let i = 0; i < buckets.length; i++) {
    count += buckets[i]
    text += `${name}_bucket{le="${i < bounds.length ? bounds[i] : '+Inf'}"} ${count}\n`
  }
  return `${text}${name}_sum ${sum}\n${name}_count ${count}\n`
}

function head({ name, help, type }: { name: string; help: string; type: string }): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
}

function labelSet(labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escapeValue(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
