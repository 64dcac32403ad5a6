/**
 * What the HTTP API says and understands, once: replies, parameters and problems as zod schemas. Descriptions are for the
 * people who read the API's reference. `satisfies` ties each reply to the type that the control plane hands out, so that
 * neither can gain or lose a field alone.
 */
import type { FdbEntryView, PortView, SwitchInfo, TransportView } from '../control/view.js'
import { batchBuckets, endpointDropReasons } from '../dataplane/shared-memory.js'
import { floodCauses, receiveDropReasons, transmitDropReasons } from '../switch/drop-reason.js'
import { wholeNumber } from './whole-number.js'
import { z } from './zod-compiler.js'

const count = z.number().nonnegative()
const bytes = z.int().nonnegative()

export const portSchema = z.object({
  id: z.int().nonnegative().describe('Small integer, never used again in a run.'),
  name: z.string().describe('`<transport>` where a transport has one port, `<transport>:<n>` where it has many.'),
  transport: z.string().describe('Name of the transport or interface this port belongs to.'),
  kind: z.string().describe('Type of that transport, e.g. `unixgram`.'),
  peer: z.string().nullable().describe('Who is at the other end, as far as known: a socket path or an address.'),
  up: z.boolean().describe('Whether the port forwards frames.'),
  maxFrameSize: bytes.describe('Bytes; Ethernet header and tag included, FCS not.'),
  isolated: z.boolean().describe('Isolated ports exchange no frames with each other.'),
  maxEntries: z.int().nonnegative().describe('FDB entries this port may hold.'),
  since: z.string().describe('When the port last came up; ISO 8601.'),
  counters: z
    .object({
      receiveFrames: count.describe('Frames that came into the switch through this port, dropped ones included.'),
      receiveBytes: count,
      receiveDrops: z.record(z.enum(receiveDropReasons), count).describe('Frames refused at ingress, by reason.'),
      transmitFrames: count.describe('Frames that left the switch through this port.'),
      transmitBytes: count,
      transmitDrops: z.record(z.enum(transmitDropReasons), count).describe('Frames not sent, by reason.'),
      queueFrames: count.describe('Frames now waiting in the egress queue.'),
      queueHighWater: count.describe('The most frames that ever waited there.'),
      pauses: count.describe('How often reading was held back because the only destination was full.'),
      fdbEntries: count.describe('Addresses now learned or fixed on this port.'),
      up: z.boolean(),
    })
    .describe('Seen from the switch: receive is into the switch.'),
}) satisfies z.ZodType<PortView>

export const portListSchema = z.object({ ports: z.array(portSchema) })

export const transportSchema = z.object({
  name: z.string(),
  kind: z.string(),
  listen: z.string().describe('How it is reached, e.g. a socket path.'),
  facts: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string()).readonly()]))
    .describe('What was found out or negotiated; which, depends on the kind.'),
  ports: z.int().nonnegative().describe('Ports it has now.'),
  drops: z
    .record(z.enum(endpointDropReasons), count)
    .describe('Datagrams discarded before any port was known, by reason.'),
}) satisfies z.ZodType<TransportView>

export const transportListSchema = z.object({ transports: z.array(transportSchema) })

export const fdbEntrySchema = z.object({
  mac: z.string().describe('Lower case, colons.'),
  portId: z.int().nonnegative(),
  port: z.string().describe('Name of the port.'),
  static: z.boolean().describe('Fixed by hand: neither ages nor moves.'),
  ageSeconds: z.number().nullable().describe('Since a frame from this address was last seen; null for static entries.'),
}) satisfies z.ZodType<FdbEntryView>

export const fdbPageSchema = z.object({
  total: z.int().nonnegative().describe('Entries that match, on all pages.'),
  limit: z.int().positive(),
  offset: z.int().nonnegative(),
  entries: z.array(fdbEntrySchema).describe('Sorted by MAC address.'),
})

export const switchSchema = z.object({
  name: z.string(),
  version: z.string().describe('Of tapswitch.'),
  maxFrameSize: bytes.describe('Bytes; Ethernet header and tag included, FCS not.'),
  startedAt: z.string().describe('ISO 8601.'),
  ports: z.int().nonnegative(),
  maxPorts: z.int().nonnegative(),
  fdb: z.object({
    entries: z.int().nonnegative(),
    capacity: z.int().nonnegative(),
    maxEntriesPerPort: z.int().nonnegative(),
    ageingSeconds: z.number().nonnegative(),
  }),
  dataplane: z.object({
    restarts: z.int().nonnegative().describe('How often the thread that moves frames was replaced.'),
    alive: z.boolean(),
  }),
  counters: z.object({
    turns: count.describe("Turns of the data plane's loop."),
    busySeconds: count.describe('Time it worked, waiting excluded.'),
    heartbeat: z.number().describe('Monotonic milliseconds at its last turn.'),
    fdbLearned: count,
    fdbMoved: count,
    fdbAged: count,
    fdbRefused: count,
    fdbEntries: count,
    poolFree: count.describe('Free slots of the frame pool.'),
    poolSlots: count,
    eventsSuppressed: count.describe('Events not reported because too many came at once.'),
    floods: z.record(z.enum(floodCauses), count).describe('Frames sent to every port, by cause.'),
    batch: z
      .object({ sum: count, count, buckets: z.array(count) })
      .describe(
        `Frames a receive call brought: at most ${batchBuckets.join(', ')}, or more; each bucket excludes the one before.`,
      ),
  }),
}) satisfies z.ZodType<SwitchInfo>

export const portParameters = z.strictObject({ id: wholeNumber(0, 2 ** 31 - 1) })

export const fdbQuery = z.strictObject({
  port: z.string().min(1).max(256).optional().describe("A port's id or name."),
  mac: z
    .string()
    .regex(/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i, 'must be a MAC address such as 52:54:00:12:34:56')
    .overwrite(mac => mac.toLowerCase().replaceAll('-', ':'))
    .optional(),
  limit: wholeNumber(1, 10_000).default(1000),
  offset: wholeNumber(0, 2 ** 31 - 1).default(0),
})

export const noQuery = z.strictObject({})

/** RFC 9457. `code` is the stable part, for programs; `detail` is for people. */
export const problemSchema = z.object({
  type: z.literal('about:blank'),
  title: z.string().describe("The status code's phrase."),
  status: z.int().min(400).max(599),
  code: z.string().describe('What went wrong, e.g. `no-such-port`; listed in docs/api.md.'),
  detail: z.string(),
  errors: z
    .array(z.object({ in: z.string(), path: z.string(), message: z.string() }))
    .optional()
    .describe('Where a request was not valid: one for each fault.'),
})
export type Problem = z.infer<typeof problemSchema>
