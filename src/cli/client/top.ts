/**
 * `tapswitch top`: the ports of a running switch, busiest first, with their rates since the last look. Drawn on the
 * terminal's other screen, so that what was there before is back afterwards. Keys: q ends, r f d sort by received, sent
 * or dropped frames.
 */
import { emitKeypressEvents } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { PortView } from '../../control/view.js'
import { UsageError } from '../../errors.js'
import type { ApiClient } from './api-client.js'
import { type Column, tableText } from './table.js'
import { shortNumber } from './units.js'

export interface PortRates {
  readonly port: PortView
  /** Frames and bits for each second. */
  readonly receiveFrames: number
  readonly receiveBits: number
  readonly transmitFrames: number
  readonly transmitBits: number
  readonly drops: number
}

export type SortKey = 'receiveFrames' | 'transmitFrames' | 'drops'

const keys: Readonly<Record<string, SortKey>> = { r: 'receiveFrames', f: 'transmitFrames', d: 'drops' }

const columns: Column<PortRates>[] = [
  { title: 'PORT', cell: ({ port }) => port.name },
  { title: 'STATE', cell: ({ port }) => (port.up ? 'up' : 'down') },
  { title: 'RECEIVED/s', cell: rates => shortNumber(rates.receiveFrames), align: 'right' },
  { title: 'bit/s', cell: rates => shortNumber(rates.receiveBits), align: 'right' },
  { title: 'SENT/s', cell: rates => shortNumber(rates.transmitFrames), align: 'right' },
  { title: 'bit/s', cell: rates => shortNumber(rates.transmitBits), align: 'right' },
  { title: 'DROPPED/s', cell: rates => shortNumber(rates.drops), align: 'right' },
  { title: 'QUEUED', cell: ({ port }) => port.counters.queueFrames, align: 'right' },
  { title: 'PEER', cell: ({ port }) => port.peer ?? '-' },
]

/** What happened between two looks; a port that was not there before counts from nothing. */
export function ratesBetween(before: readonly PortView[], after: readonly PortView[], seconds: number): PortRates[] {
  const earlier = new Map(before.map(port => [port.id, port]))
  return after.map(port => {
    const then = earlier.get(port.id)
    const rate = (of: (port: PortView) => number) =>
      Math.max(0, of(port) - (then === undefined ? of(port) : of(then))) / seconds
    return {
      port,
      receiveFrames: rate(({ counters }) => counters.receiveFrames),
      receiveBits: 8 * rate(({ counters }) => counters.receiveBytes),
      transmitFrames: rate(({ counters }) => counters.transmitFrames),
      transmitBits: 8 * rate(({ counters }) => counters.transmitBytes),
      drops: rate(dropsOf),
    }
  })
}

/** One screen, no line longer than the terminal is wide. */
export function screenText(
  rates: readonly PortRates[],
  sort: SortKey,
  size: { rows: number; columns: number },
): string {
  const sorted = rates.toSorted((a, b) => b[sort] - a[sort] || a.port.id - b.port.id)
  const total = (of: (rates: PortRates) => number) => shortNumber(rates.reduce((sum, each) => sum + of(each), 0))
  const head = `${rates.length} ports, ${total(each => each.receiveFrames)} frames/s in, ${total(each => each.transmitFrames)} out, ${total(each => each.drops)} dropped; by ${sort}; q r f d`
  const lines = [head, '', ...tableText(columns, sorted).split('\n')]
  return lines
    .slice(0, size.rows - 1)
    .map(line => line.slice(0, size.columns))
    .join('\n')
}

export interface Terminal {
  readonly input: NodeJS.ReadStream
  readonly output: NodeJS.WriteStream
}

/** Runs until q or the signal. */
export async function top(
  api: ApiClient,
  intervalMs: number,
  { input, output }: Terminal,
  signal: AbortSignal,
): Promise<void> {
  if (!output.isTTY) throw new UsageError('top needs a terminal; "tapswitch ports --json" is for scripts')
  const look = async () => ((await api.get('/v1/ports')) as { ports: PortView[] }).ports
  const ended = new AbortController()
  const either = AbortSignal.any([signal, ended.signal])
  let sort: SortKey = 'receiveFrames'
  let before = await look()
  let since = performance.now()
  const onKey = (_text: string | undefined, key: { name?: string; ctrl?: boolean }) => {
    if (key.name === 'q' || (key.ctrl === true && key.name === 'c')) ended.abort()
    sort = keys[key.name ?? ''] ?? sort
  }
  emitKeypressEvents(input)
  if (input.isTTY) input.setRawMode(true)
  input.on('keypress', onKey).resume()
  output.write('\x1b[?1049h\x1b[?25l')
  try {
    while (!either.aborted) {
      await delay(intervalMs, undefined, { signal: either }).catch(() => {})
      if (either.aborted) break
      const after = await look()
      const now = performance.now()
      const text = screenText(ratesBetween(before, after, (now - since) / 1000), sort, sizeOf(output))
      output.write(`\x1b[H${text.replaceAll('\n', '\x1b[K\n')}\x1b[J`)
      before = after
      since = now
    }
  } finally {
    output.write('\x1b[?25h\x1b[?1049l')
    input.off('keypress', onKey).pause()
    if (input.isTTY) input.setRawMode(false)
  }
}

function sizeOf({ rows, columns }: NodeJS.WriteStream): { rows: number; columns: number } {
  return { rows: rows || 24, columns: columns || 80 }
}

function dropsOf({ counters }: PortView): number {
  const all = [...Object.values(counters.receiveDrops), ...Object.values(counters.transmitDrops)]
  return all.reduce((sum, count) => sum + count, 0)
}
