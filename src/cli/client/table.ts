/** Tables for people: columns as wide as their widest cell, numbers to the right. */

export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => string | number
  /** Default: left. */
  readonly align?: 'left' | 'right'
}

/** Lines without trailing blanks; the titles are the first. */
export function tableText<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = [columns.map(({ title }) => title), ...rows.map(row => columns.map(({ cell }) => printable(cell(row))))]
  const widths = columns.map((_, c) => Math.max(...cells.map(line => line[c].length)))
  const pad = (text: string, c: number) =>
    columns[c].align === 'right' ? text.padStart(widths[c]) : text.padEnd(widths[c])
  return cells.map(line => line.map(pad).join('  ').trimEnd()).join('\n')
}

/** A peer chose some of this text, and a terminal obeys control characters. */
export function printable(value: string | number): string {
  return String(value).replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '?')
}
