/** A switch that exists only as numbers: two ports of one transport, over real shared counters. */

import type { HttpConfig } from '#src/config/config.js'
import { EventBus } from '#src/control/event-bus.js'
import type { SwitchControl } from '#src/control/switch-control.js'
import type { FdbEntryView, FindingView, PortView, SwitchView, TransportView } from '#src/control/view.js'
import { PortField, SharedCounters, SwitchField } from '#src/dataplane/shared-memory.js'
import { type HttpParts, type HttpServer, startHttp } from '#src/http/server.js'
import type { Logger } from '#src/log.js'
import { parseMac } from '#src/wire/ethernet.js'

export interface FakeView extends SwitchView {
  readonly counters: SharedCounters
  portList: Omit<PortView, 'counters' | 'up'>[]
  entries: FdbEntryView[]
  findingList: FindingView[]
  troubled: string | undefined
  isReady: boolean
  /** Why the transport has failed. */
  failure: string | null
}

export function fakePort(id: number, peer: string | null): Omit<PortView, 'counters' | 'up'> {
  return {
    id,
    name: `vms:${id}`,
    transport: 'vms',
    kind: 'unixgram',
    peer,
    maxFrameSize: 1518,
    enabled: true,
    isolated: false,
    queueFrames: 2048,
    mirrors: null,
    mode: null,
    maxEntries: 4096,
    since: '2025-01-02T03:04:05.678Z',
    findings: [],
  }
}

export function fakeEntry(n: number, portId: number): FdbEntryView {
  const low = n.toString(16).padStart(4, '0')
  return {
    mac: `52:54:00:00:${low.slice(0, 2)}:${low.slice(2)}`,
    portId,
    port: `vms:${portId}`,
    static: false,
    ageSeconds: n,
  }
}

export function fakeView(): FakeView {
  const counters = new SharedCounters({ maxPorts: 8, maxEndpoints: 1 })
  for (const index of [1, 2]) counters.cells[counters.portRow(index) + PortField.up] = 1
  counters.cells[SwitchField.poolSlots] = 64
  const view: FakeView = {
    counters,
    portList: [fakePort(1, '/tmp/a.sock'), fakePort(2, null)],
    entries: [fakeEntry(3, 2), fakeEntry(1, 1), fakeEntry(2, 1)],
    findingList: [],
    findings: () => ({ findings: view.findingList, notListed: 0 }),
    troubled: undefined,
    isReady: true,
    failure: null,
    info: () => ({
      name: 'lab',
      version: '1.2.3',
      maxFrameSize: 1518,
      startedAt: '2025-01-02T03:04:05.000Z',
      ports: view.portList.length,
      maxPorts: 8,
      bufferBytes: 64 * 1024 * 1024,
      fdb: { entries: view.entries.length, capacity: 16384, maxEntriesPerPort: 4096, ageingSeconds: 300 },
      dataplane: { restarts: 0, alive: true },
      log: { linesDropped: 6 },
      counters: counters.readSwitch(),
    }),
    ports: () =>
      view.portList.map(port => {
        const read = counters.readPort(port.id)
        return { ...port, up: read.up, counters: read }
      }),
    port: id => view.ports().find(port => port.id === id),
    transports: (): TransportView[] => [
      {
        name: 'vms',
        kind: 'unixgram',
        listen: '/tmp/vms.sock',
        facts: {},
        config: { name: 'vms', type: 'unixgram' },
        forwards: null,
        ports: view.portList.length,
        state: view.failure === null ? 'serving' : 'failed',
        reason: view.failure,
        failures: 0,
        drops: counters.readEndpoint(0),
        findings: [],
      },
    ],
    interfaces: () => [],
    fdb: async ({ port, mac, offset, limit }) => {
      const wanted = view.entries.filter(
        entry =>
          (mac === undefined || parseMac(entry.mac) === mac) &&
          (port === undefined || entry.port === port || String(entry.portId) === port),
      )
      wanted.sort((a, b) => (a.mac < b.mac ? -1 : 1))
      return { total: wanted.length, limit, offset, entries: wanted.slice(offset, offset + limit) }
    },
    ready: () => view.isReady,
    trouble: () => view.troubled,
  }
  return view
}

/** Keeps what was logged, as [level, fields, message]. */
export function recordingLog(): Logger & { lines: [string, unknown, string][] } {
  const lines: [string, unknown, string][] = []
  const at = (level: string) => (fields: object | string, message?: string) => {
    lines.push(typeof fields === 'string' ? [level, {}, fields] : [level, fields, message ?? ''])
  }
  const log = {
    lines,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  }
  return log
}

/** What an empty `http:` stands for, at another address. */
export function httpConfig(listen: string, more: Partial<HttpConfig> = {}): HttpConfig {
  return {
    listen,
    permissions: 0o600,
    owner: null,
    group: null,
    anonymous: (more.tokens ?? []).length > 0 ? 'none' : 'control',
    tokens: [],
    allowedHosts: [],
    tls: null,
    allowedPaths: [],
    secretsDir: null,
    allowedTargets: [],
    allowedInterfaces: ['slirp', 'auto'],
    ...more,
  }
}

/** A switch that is only looked at; what changes one is tested on the running program. */
export function partsOf(view: FakeView): Pick<HttpParts, 'view' | 'control' | 'events'> {
  return { view, control: {} as SwitchControl, events: new EventBus() }
}

export function serve(view: FakeView, listen: string, log: Logger): Promise<HttpServer> {
  return startHttp({ ...partsOf(view), config: httpConfig(listen), log })
}
