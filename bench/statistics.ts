/** Numbers to text: medians over rounds with their spread, and Markdown tables. */

export function median(values: number[]): number {
  if (values.length === 0) return Number.NaN
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Three significant digits, without exponents. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(digits, 3))
}

/** The median, and the least and greatest where there is more than one: `310 (280-330)`. */
export function spread(values: number[], format: (value: number) => string = short): string {
  const known = values.filter(Number.isFinite)
  if (known.length === 0) return '-'
  if (known.length === 1) return format(known[0])
  return `${format(median(known))} (${format(Math.min(...known))}-${format(Math.max(...known))})`
}

export function table(header: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  return [line(header), line(header.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line), ''].join('\n')
}
