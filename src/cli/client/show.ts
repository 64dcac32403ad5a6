/**
 * `tapswitch status`, `ports`, `transports`, `interfaces`, `fdb`: what a running switch shows of itself, as tables or
 * as the API's own JSON.
 */
import type {
  FdbEntryView,
  FindingView,
  InterfaceView,
  PortView,
  SwitchInfo,
  TransportView,
} from '../../control/view.js'
import { OperatorError } from '../../errors.js'
import type { Output } from '../output.js'
import type { ApiClient } from './api-client.js'
import { type Column, printable, tableText } from './table.js'
import { shortDuration, shortNumber } from './units.js'

export interface ShowOptions {
  readonly json: boolean
}

export async function showStatus(api: ApiClient, { json }: ShowOptions, output: Output): Promise<void> {
  const info = (await api.get('/v1/switch')) as SwitchInfo
  if (json) return printJson(info, output)
  const { ports } = (await api.get('/v1/ports')) as { ports: PortView[] }
  const { fdb, dataplane, counters } = info
  const up = ports.filter(port => port.up).length
  const lines: [string, string][] = [
    ['switch', `${info.name}, tapswitch ${info.version} at ${api.url}`],
    ['running', shortDuration((Date.now() - Date.parse(info.startedAt)) / 1000)],
    ['data plane', `${dataplane.alive ? 'moves frames' : 'does not turn'}, replaced ${dataplane.restarts} times`],
    ['ports', `${up} up of ${ports.length}, room for ${info.maxPorts}`],
    ['frames', `${shortNumber(sum(ports, port => port.counters.receiveFrames))} received, ${dropText(ports)}`],
    ['flooded', floodText(counters.floods)],
    ['addresses', `${fdb.entries} of ${fdb.capacity}, forgotten after ${fdb.ageingSeconds} s`],
    ['largest frame', `${info.maxFrameSize} bytes`],
  ]
  output.out(lines.map(([name, text]) => `${name.padEnd(14)}${printable(text)}`).join('\n'))
}

const portColumns: Column<PortView>[] = [
  { title: 'ID', cell: port => port.id, align: 'right' },
  { title: 'PORT', cell: port => port.name },
  { title: 'KIND', cell: port => port.kind },
  { title: 'STATE', cell: port => (port.up ? 'up' : 'down') },
  { title: 'RECEIVED', cell: ({ counters }) => shortNumber(counters.receiveFrames), align: 'right' },
  { title: 'SENT', cell: ({ counters }) => shortNumber(counters.transmitFrames), align: 'right' },
  { title: 'DROPPED', cell: port => shortNumber(dropsOf(port)), align: 'right' },
  { title: 'QUEUED', cell: ({ counters }) => counters.queueFrames, align: 'right' },
  { title: 'ADDRESSES', cell: ({ counters }) => counters.fdbEntries, align: 'right' },
  { title: 'PEER', cell: port => port.peer ?? '-' },
]

export async function showPorts(api: ApiClient, { json }: ShowOptions, output: Output): Promise<void> {
  const answer = (await api.get('/v1/ports')) as { ports: PortView[] }
  if (json) return printJson(answer, output)
  output.out(answer.ports.length === 0 ? 'no ports' : tableText(portColumns, answer.ports))
}

export async function showPort(api: ApiClient, which: string, { json }: ShowOptions, output: Output): Promise<void> {
  const port = await findPort(api, which)
  if (json) return printJson(port, output)
  const { counters, findings, ...facts } = port
  const { receiveDrops, transmitDrops, up: _up, ...numbers } = counters
  const rows = [
    ...Object.entries(facts),
    ...Object.entries(numbers),
    ...Object.entries(receiveDrops).map(([reason, count]) => [`receive dropped: ${reason}`, count]),
    ...Object.entries(transmitDrops).map(([reason, count]) => [`transmit dropped: ${reason}`, count]),
    ...findings.map(({ code, message }) => [`finding: ${code}`, message]),
  ].map(([name, value]) => [String(name), cellText(value)] as const)
  const width = Math.max(...rows.map(([name]) => name.length))
  output.out(rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`).join('\n'))
}

const attachmentColumns: Column<TransportView>[] = [
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'KIND', cell: ({ kind }) => kind },
  { title: 'PORTS', cell: ({ ports }) => ports, align: 'right' },
  { title: 'DROPPED', cell: ({ drops }) => sum(Object.values(drops), count => count), align: 'right' },
  { title: 'WHERE', cell: ({ listen }) => listen },
  { title: 'FACTS', cell: ({ facts }) => factsText(facts) },
]

export async function showAttachments(
  api: ApiClient,
  what: 'transports' | 'interfaces',
  { json }: ShowOptions,
  output: Output,
): Promise<void> {
  const answer = (await api.get(`/v1/${what}`)) as Record<typeof what, (TransportView | InterfaceView)[]>
  if (json) return printJson(answer, output)
  output.out(answer[what].length === 0 ? `no ${what}` : tableText(attachmentColumns, answer[what]))
}

const fdbColumns: Column<FdbEntryView>[] = [
  { title: 'MAC', cell: ({ mac }) => mac },
  { title: 'PORT', cell: ({ port }) => port },
  { title: 'SEEN', cell: ({ ageSeconds }) => (ageSeconds === null ? 'static' : `${shortDuration(ageSeconds)} ago`) },
]

export interface FdbOptions extends ShowOptions {
  readonly port?: string
  readonly mac?: string
  readonly limit: string
}

export async function showFdb(api: ApiClient, options: FdbOptions, output: Output): Promise<void> {
  const query = new URLSearchParams({ limit: options.limit })
  if (options.port !== undefined) query.set('port', String((await findPort(api, options.port)).id))
  if (options.mac !== undefined) query.set('mac', options.mac)
  const answer = (await api.get(`/v1/fdb?${query}`)) as { total: number; entries: FdbEntryView[] }
  if (options.json) return printJson(answer, output)
  const { total, entries } = answer
  output.out(entries.length === 0 ? 'no addresses' : tableText(fdbColumns, entries))
  if (total > entries.length) output.err(`${total - entries.length} more; --limit shows them`)
}

export async function showFindings(api: ApiClient, { json }: ShowOptions, output: Output): Promise<void> {
  const answer = (await api.get('/v1/findings')) as { findings: FindingView[]; notListed: number }
  if (json) return printJson(answer, output)
  const { findings, notListed } = answer
  output.out(findings.length === 0 ? 'nothing is wrong' : findings.map(findingLine).join('\n'))
  if (notListed > 0) output.err(`${notListed} times a finding was left out since the start: there were too many`)
}

/** `error    transport vms: all ports are in use; ... (port-limit, 12 times since 5 min, last 3 s ago)`. */
export function findingLine({ severity, subject, message, code, count, since, lastSeen }: FindingView): string {
  const ago = (time: string) => shortDuration((Date.now() - Date.parse(time)) / 1000)
  const often = count === 1 ? `${ago(since)} ago` : `${count} times in ${ago(since)}, last ${ago(lastSeen)} ago`
  return printable(`${severity.padEnd(7)}  ${subject.kind} ${subject.name}: ${message} (${code}, ${often})`)
}

/** By number or by name. */
export async function findPort(api: ApiClient, which: string): Promise<PortView> {
  const { ports } = (await api.get('/v1/ports')) as { ports: PortView[] }
  const port = ports.find(({ id, name }) => String(id) === which || name === which)
  if (port !== undefined) return port
  const known = ports.map(({ name }) => printable(name)).join(', ')
  throw new OperatorError(`there is no port ${which}; there ${known === '' ? 'are none' : `are: ${known}`}`)
}

export function printJson(value: unknown, output: Output): void {
  output.out(JSON.stringify(value, null, 2))
}

function dropsOf({ counters }: PortView): number {
  return sum([...Object.values(counters.receiveDrops), ...Object.values(counters.transmitDrops)], count => count)
}

function dropText(ports: readonly PortView[]): string {
  const dropped = sum(ports, dropsOf)
  return dropped === 0 ? 'none dropped' : `${shortNumber(dropped)} dropped ("tapswitch ports" says where)`
}

function floodText(floods: Readonly<Record<string, number>>): string {
  return Object.entries(floods)
    .map(([cause, count]) => `${shortNumber(count)} ${cause}`)
    .join(', ')
}

function factsText(facts: TransportView['facts']): string {
  return Object.entries(facts)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${Array.isArray(value) ? value.join('+') : value}`)
    .join(' ')
}

function cellText(value: unknown): string {
  return printable(typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value ?? '-'))
}

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
