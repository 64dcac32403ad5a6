/**
 * One example of each answer, by the id of its schema; for the OpenAPI document. A test holds them against the schemas.
 */

import type { Forward } from '../config/forwards.js'
import type { FdbEntryView, FindingView, PortView, SwitchInfo, TransportView } from '../control/view.js'
import { endpointDropReasons } from '../dataplane/shared-memory.js'
import { receiveDropReasons, transmitDropReasons } from '../switch/drop-reason.js'

const none = <Reason extends string>(reasons: readonly Reason[]) =>
  Object.fromEntries(reasons.map(reason => [reason, 0])) as Record<Reason, number>

const port: PortView = {
  id: 1,
  name: 'vms:1',
  transport: 'vms',
  kind: 'unixgram',
  peer: '/tmp/vm1.sock',
  up: true,
  enabled: true,
  maxFrameSize: 1518,
  isolated: false,
  queueFrames: 2048,
  mirrors: null,
  mode: null,
  maxEntries: 4096,
  since: '2025-01-02T03:04:05.678Z',
  findings: [],
  counters: {
    receiveFrames: 4500,
    receiveBytes: 6210000,
    receiveDrops: { ...none(receiveDropReasons), 'reserved-destination': 4 },
    transmitFrames: 4480,
    transmitBytes: 310000,
    transmitDrops: none(transmitDropReasons),
    queueFrames: 0,
    queueHighWater: 17,
    pauses: 2,
    fdbEntries: 1,
    up: true,
  },
}

const transport: TransportView = {
  name: 'vms',
  kind: 'unixgram',
  listen: '/run/tapswitch/vms.sock',
  facts: {},
  config: {
    name: 'vms',
    type: 'unixgram',
    listen: '/run/tapswitch/vms.sock',
    peers: 'many',
    maxPeers: 64,
    permissions: '0600',
    port: { maxFrameSize: 1518, isolated: false, queueFrames: 2048, fdb: { maxEntries: 4096 } },
  },
  forwards: null,
  ports: 2,
  state: 'serving',
  reason: null,
  failures: 0,
  drops: { ...none(endpointDropReasons), handshake: 1 },
  findings: [],
}

const finding: FindingView = {
  code: 'port-limit',
  severity: 'error',
  subject: { kind: 'transport', name: 'vms' },
  message: 'vms needs another port, and all 1024 are in use; raise switch.maxPorts, or limit the peers of a transport',
  detail: { maxPorts: 1024 },
  count: 3,
  since: '2025-01-02T03:04:05.678Z',
  lastSeen: '2025-01-02T03:04:15.678Z',
}
const fdbEntry: FdbEntryView = { mac: '52:54:00:00:00:01', portId: 1, port: 'vms:1', static: false, ageSeconds: 4 }
const forward: Forward = { protocol: 'tcp', host: '127.0.0.1:2222', guest: '10.0.2.15:22' }

const info: SwitchInfo = {
  name: 'lab',
  version: '0.1.0',
  maxFrameSize: 1518,
  startedAt: '2025-01-02T03:04:05.000Z',
  ports: 2,
  maxPorts: 1024,
  bufferBytes: 67108864,
  fdb: { entries: 3, capacity: 16384, maxEntriesPerPort: 4096, ageingSeconds: 300 },
  dataplane: { restarts: 0, alive: true },
  log: { linesDropped: 0 },
  counters: {
    turns: 5120,
    busySeconds: 0.25,
    heartbeat: 60123.5,
    fdbLearned: 3,
    fdbMoved: 0,
    fdbFlapping: 0,
    fdbAged: 0,
    fdbRefused: 0,
    fdbEntries: 3,
    poolFree: 4090,
    poolSlots: 4096,
    eventsSuppressed: 0,
    floods: { broadcast: 2, multicast: 12, 'unknown-unicast': 0 },
    batch: { sum: 9000, count: 3000, buckets: [1500, 700, 300, 250, 150, 60, 30, 10] },
  },
}

const capture = {
  id: 1,
  portId: null,
  snaplen: 65550,
  filter: 'arp',
  seconds: 3600,
  megabytes: 1024,
  bytes: 4096,
  startedAt: '2025-01-02T03:04:05.678Z',
}

export const examples: Readonly<Record<string, unknown>> = {
  Port: port,
  PortList: { ports: [port] },
  Transport: transport,
  TransportList: { transports: [transport] },
  InterfaceList: {
    interfaces: [
      {
        ...transport,
        name: 'host',
        kind: 'tap',
        listen: 'tap0',
        facts: { mtu: 1500 },
        config: { name: 'host', type: 'tap', mode: 'host', device: 'tap0', address: '10.9.0.1/24' },
        ports: 1,
      },
    ],
  },
  Forward: forward,
  ForwardList: { forwards: [forward] },
  FdbEntry: fdbEntry,
  FdbPage: {
    total: 2,
    limit: 1000,
    offset: 0,
    entries: [fdbEntry, { mac: '52:54:00:00:00:02', portId: 2, port: 'vms:2', static: true, ageSeconds: null }],
  },
  Finding: finding,
  FindingList: { findings: [finding], notListed: 0 },
  Switch: info,
  Capture: capture,
  CaptureList: { captures: [capture] },
  Identity: { name: 'prometheus', role: 'read' },
  Issued: { secret: 'Cq1zpVhJTg8vGq0hXbq2YA', expires: '2026-01-02T03:14:05.000Z' },
  SaveReport: { file: '/etc/tapswitch/switch.yaml', written: true, notSaved: [] },
  Problem: {
    type: 'about:blank',
    title: 'Bad Request',
    status: 400,
    code: 'invalid-request',
    detail: 'limit: must be a whole number',
    errors: [{ in: 'query', path: 'limit', message: 'must be a whole number' }],
  },
}
