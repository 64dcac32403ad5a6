/**
 * What /metrics shows: every metric of the switch with its help text, which docs/metrics.md explains further.
 *
 * Values are read from the view when a scrape comes, each of its lists once, and are kept nowhere. Names are what
 * dashboards and alerts hold on to. Frames and bytes are seen from the switch: receive is into it. A port is labelled
 * with its name. No label has a value that a guest chooses, such as the path of its socket or an address: it could grow
 * a time series database at will.
 */
import type { PortView, SwitchInfo, SwitchView, TransportView } from '../control/view.js'
import { batchBuckets, type EndpointDropReason, endpointDropReasons } from '../dataplane/shared-memory.js'
import { findingCodeNames } from '../finding-codes.js'
import {
  type FloodCause,
  floodCauses,
  type ReceiveDropReason,
  receiveDropReasons,
  type TransmitDropReason,
  transmitDropReasons,
} from '../switch/drop-reason.js'
import { type Family, histogram, Table } from './exposition.js'
import { ProcessMetrics } from './process-metrics.js'

export const METRICS_MEDIA_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

const switchFamilies: readonly Family<SwitchInfo>[] = [
  {
    name: 'tapswitch_build_info',
    type: 'gauge',
    help: 'Always 1; the labels say which tapswitch runs on which Node.js and platform.',
    labels: ({ version }) => ({
      version,
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
    }),
    read: () => 1,
  },
  {
    name: 'tapswitch_fdb_capacity',
    type: 'gauge',
    help: 'MAC addresses the filtering database may hold.',
    read: ({ fdb }) => fdb.capacity,
  },
  {
    name: 'tapswitch_fdb_learned_total',
    type: 'counter',
    help: 'MAC addresses learned.',
    read: ({ counters }) => counters.fdbLearned,
  },
  {
    name: 'tapswitch_fdb_moved_total',
    type: 'counter',
    help: 'Times a known MAC address turned up on another port and was moved there.',
    read: ({ counters }) => counters.fdbMoved,
  },
  {
    name: 'tapswitch_fdb_aged_total',
    type: 'counter',
    help: 'MAC addresses forgotten because no frame came from them for the ageing time.',
    read: ({ counters }) => counters.fdbAged,
  },
  {
    name: 'tapswitch_fdb_refused_total',
    type: 'counter',
    help: "Times a MAC address was not learned because the table, or its port's share of it, was full.",
    read: ({ counters }) => counters.fdbRefused,
  },
  {
    name: 'tapswitch_fdb_flapping_total',
    type: 'counter',
    help: 'Times a MAC address was found to keep moving between ports, as with a loop or a duplicate address.',
    read: ({ counters }) => counters.fdbFlapping,
  },
  {
    name: 'tapswitch_flood_frames_total',
    type: 'counter',
    help: 'Frames sent to every port, by what made them so; each is counted once, however many ports got it.',
    by: { label: 'cause', values: floodCauses },
    read: ({ counters }, cause) => counters.floods[cause as FloodCause],
  },
  {
    name: 'tapswitch_dataplane_up',
    type: 'gauge',
    help: '1 while the thread that moves frames turns, else 0.',
    read: ({ dataplane }) => (dataplane.alive ? 1 : 0),
  },
  {
    name: 'tapswitch_dataplane_restarts_total',
    type: 'counter',
    help: 'Times the thread that moves frames died and was replaced.',
    read: ({ dataplane }) => dataplane.restarts,
  },
  {
    name: 'tapswitch_dataplane_turns_total',
    type: 'counter',
    help: 'Turns of the loop that moves frames: wait, receive, switch, transmit.',
    read: ({ counters }) => counters.turns,
  },
  {
    name: 'tapswitch_dataplane_busy_seconds_total',
    type: 'counter',
    help: 'Seconds the thread that moves frames worked, waiting excluded; its rate is the load, 1 being all of a core.',
    read: ({ counters }) => counters.busySeconds,
  },
  {
    name: 'tapswitch_frame_pool_slots',
    type: 'gauge',
    help: 'Frames that can be held in memory at once.',
    read: ({ counters }) => counters.poolSlots,
  },
  {
    name: 'tapswitch_frame_pool_free_slots',
    type: 'gauge',
    help: 'Frames that could be held in memory besides those held now.',
    read: ({ counters }) => counters.poolFree,
  },
  {
    name: 'tapswitch_log_lines_dropped_total',
    type: 'counter',
    help: 'Lines of the log that were lost because stderr did not take them.',
    read: ({ log }) => log.linesDropped,
  },
  {
    name: 'tapswitch_events_suppressed_total',
    type: 'counter',
    help: 'Events not reported because too many came at once.',
    read: ({ counters }) => counters.eventsSuppressed,
  },
]

const batchFrames = {
  name: 'tapswitch_dataplane_batch_frames',
  help: 'Frames that one receive call brought; many at a time means a busy switch.',
}

const portFamilies: readonly Family<PortView>[] = [
  {
    name: 'tapswitch_port_info',
    type: 'gauge',
    help: 'Always 1; the labels say which transport the port belongs to, its type and its mode, if any.',
    labels: ({ transport, kind, mode }) => ({ transport, kind, mode: mode ?? '' }),
    read: () => 1,
  },
  {
    name: 'tapswitch_port_max_frame_size_bytes',
    type: 'gauge',
    help: 'Longest frame the port takes, Ethernet header and tag included, FCS not.',
    read: ({ maxFrameSize }) => maxFrameSize,
  },
  {
    name: 'tapswitch_port_up',
    type: 'gauge',
    help: '1 while the port forwards frames, else 0.',
    read: ({ up }) => (up ? 1 : 0),
  },
  {
    name: 'tapswitch_port_receive_frames_total',
    type: 'counter',
    help: 'Frames that came into the switch through this port, those it then dropped included.',
    read: ({ counters }) => counters.receiveFrames,
  },
  {
    name: 'tapswitch_port_receive_bytes_total',
    type: 'counter',
    help: 'Bytes of those frames, Ethernet header and tag included, FCS not.',
    read: ({ counters }) => counters.receiveBytes,
  },
  {
    name: 'tapswitch_port_receive_drop_total',
    type: 'counter',
    help: 'Frames from this port that went nowhere, by reason.',
    by: { label: 'reason', values: receiveDropReasons },
    read: ({ counters }, reason) => counters.receiveDrops[reason as ReceiveDropReason],
  },
  {
    name: 'tapswitch_port_receive_pauses_total',
    type: 'counter',
    help: 'Times reading from this port was held back because the only port its frames went to was full.',
    read: ({ counters }) => counters.pauses,
  },
  {
    name: 'tapswitch_port_transmit_frames_total',
    type: 'counter',
    help: 'Frames that left the switch through this port.',
    read: ({ counters }) => counters.transmitFrames,
  },
  {
    name: 'tapswitch_port_transmit_bytes_total',
    type: 'counter',
    help: 'Bytes of those frames, Ethernet header and tag included, FCS not.',
    read: ({ counters }) => counters.transmitBytes,
  },
  {
    name: 'tapswitch_port_transmit_drop_total',
    type: 'counter',
    help: 'Frames that should have left through this port and did not, by reason.',
    by: { label: 'reason', values: transmitDropReasons },
    read: ({ counters }, reason) => counters.transmitDrops[reason as TransmitDropReason],
  },
  {
    name: 'tapswitch_port_transmit_queue_frames',
    type: 'gauge',
    help: 'Frames waiting to leave through this port.',
    read: ({ counters }) => counters.queueFrames,
  },
  {
    name: 'tapswitch_port_transmit_queue_high_water_frames',
    type: 'gauge',
    help: 'The most frames that ever waited to leave through this port.',
    read: ({ counters }) => counters.queueHighWater,
  },
  {
    name: 'tapswitch_fdb_entries',
    type: 'gauge',
    help: 'MAC addresses known behind this port, learned or fixed.',
    read: ({ counters }) => counters.fdbEntries,
  },
]

const transportFamilies: readonly Family<TransportView>[] = [
  {
    name: 'tapswitch_transport_up',
    type: 'gauge',
    help: '1 while the transport or interface serves, 0 while it has failed and is tried again.',
    read: ({ state }) => (state === 'serving' ? 1 : 0),
  },
  {
    name: 'tapswitch_transport_failures_total',
    type: 'counter',
    help: 'Times the transport or interface failed: it was detached from the data plane, or a callback of it failed.',
    read: ({ failures }) => failures,
  },
  {
    name: 'tapswitch_transport_receive_drop_total',
    type: 'counter',
    help: 'Datagrams that a transport discarded before any port was known, by reason.',
    by: { label: 'reason', values: endpointDropReasons },
    read: ({ drops }, reason) => drops[reason as EndpointDropReason],
  },
]

type FindingCounts = ReadonlyMap<string, number>

const findingFamilies: readonly Family<FindingCounts>[] = [
  {
    name: 'tapswitch_findings',
    type: 'gauge',
    help: 'Things that are wrong now, by code; /v1/findings says what and where.',
    by: { label: 'code', values: findingCodeNames },
    read: (counts, code) => counts.get(code) ?? 0,
  },
]

export class Metrics {
  readonly #view: SwitchView
  readonly #process = ProcessMetrics.shared()
  readonly #switch = new Table({ families: switchFamilies, labels: () => ({}), key: ({ version }) => version })
  readonly #ports = new Table({
    families: portFamilies,
    labels: ({ name }) => ({ port: name }),
    key: ({ name, transport, kind, mode }) => `${name}\n${transport}\n${kind}\n${mode}`,
  })
  readonly #transports = new Table({
    families: transportFamilies,
    labels: ({ name }) => ({ transport: name }),
    key: ({ name }) => name,
  })

  readonly #findings = new Table({ families: findingFamilies, labels: () => ({}), key: () => '' })

  constructor(view: SwitchView) {
    this.#view = view
  }

  async scrape(): Promise<string> {
    const ofProcess = await this.#process.text()
    const info = this.#view.info()
    return (
      this.#switch.write([info]) +
      histogram(batchFrames, batchBuckets, info.counters.batch) +
      this.#ports.write(this.#view.ports()) +
      this.#transports.write([...this.#view.transports(), ...this.#view.interfaces()]) +
      this.#findings.write([this.#findingCounts()]) +
      ofProcess
    )
  }

  #findingCounts(): FindingCounts {
    const counts = new Map<string, number>()
    for (const { code } of this.#view.findings().findings) counts.set(code, (counts.get(code) ?? 0) + 1)
    return counts
  }
}
