/**
 * What the HTTP API says and understands, once: replies, parameters and problems as zod schemas. Descriptions are for
 * the people who read the API's reference. `satisfies` ties each reply to the type that the control plane hands out, so
 * that neither can gain or lose a field alone.
 */

import type { SaveReport } from '../control/switch-control.js'
import type { FdbEntryView, FindingView, PortView, SwitchInfo, TransportView } from '../control/view.js'
import { batchBuckets, endpointDropReasons } from '../dataplane/shared-memory.js'
import { type FindingCode, findingCodeNames } from '../finding-codes.js'
import { floodCauses, receiveDropReasons, transmitDropReasons } from '../switch/drop-reason.js'
import { z } from './zod-compiler.js'

const count = z.number().nonnegative()
const bytes = z.int().nonnegative()
const countsOf = <Name extends string>(names: readonly Name[]) =>
  z.object(Object.fromEntries(names.map(name => [name, count])) as Record<Name, typeof count>)

export const findingSchema = z
  .object({
    code: z.enum(findingCodeNames as [FindingCode, ...FindingCode[]]).describe('What is wrong; for programs.'),
    severity: z
      .enum(['warning', 'error'])
      .describe(
        '`error`: something that is configured does not work at all. `warning`: not for everyone, or less well.',
      ),
    subject: z
      .object({ kind: z.enum(['switch', 'transport', 'interface', 'port']), name: z.string() })
      .describe('What is wrong with: the switch, or the transport, interface or port of this name.'),
    message: z.string().describe('One sentence: what is wrong, and the way out.'),
    detail: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
      .readonly()
      .describe('The parts of the message, for programs; which, depends on the code.'),
    count: count.describe('How often it was seen.'),
    since: z.string().describe('When it was first seen; ISO 8601.'),
    lastSeen: z.string().describe('When it was last seen; ISO 8601.'),
  })
  .meta({ id: 'Finding' }) satisfies z.ZodType<FindingView>

export const findingListSchema = z
  .object({
    findings: z.array(findingSchema),
    notListed: count.describe('How often something was left out since the start because there were too many findings.'),
  })
  .meta({ id: 'FindingList' })

const ownFindings = z.array(findingSchema).readonly()

export const portSchema = z
  .object({
    id: z.int().nonnegative().describe('Small integer, never used again in a run.'),
    name: z.string().describe('`<transport>` where a transport has one port, `<transport>:<n>` where it has many.'),
    transport: z.string().describe('Name of the transport or interface this port belongs to.'),
    kind: z.string().describe('Type of that transport, e.g. `unixgram`.'),
    peer: z.string().nullable().describe('Who is at the other end, as far as known: a socket path or an address.'),
    up: z.boolean().describe('Whether the port forwards frames: somebody is at the other end, and it is enabled.'),
    enabled: z.boolean().describe('False when an operator switched it off.'),
    maxFrameSize: bytes.describe('Bytes; Ethernet header and tag included, FCS not.'),
    isolated: z.boolean().describe('Isolated ports exchange no frames with each other.'),
    queueFrames: z.int().nonnegative().describe('Frames that may wait for this port.'),
    mirrors: z
      .array(z.string())
      .readonly()
      .nullable()
      .describe('Ports, transports and interfaces this port gets copies of; null where it is no mirror.'),
    mode: z.string().nullable().describe('Of an interface that has modes: `shared`, `host`, `bridged`.'),
    maxEntries: z.int().nonnegative().describe('FDB entries this port may hold.'),
    since: z.string().describe('When the port last came up; ISO 8601.'),
    findings: ownFindings.describe('What is wrong with it now.'),
    counters: z
      .object({
        receiveFrames: count.describe('Frames that came into the switch through this port, dropped ones included.'),
        receiveBytes: count,
        receiveDrops: countsOf(receiveDropReasons).describe('Frames refused at ingress, by reason.'),
        transmitFrames: count.describe('Frames that left the switch through this port.'),
        transmitBytes: count,
        transmitDrops: countsOf(transmitDropReasons).describe('Frames not sent, by reason.'),
        queueFrames: count.describe('Frames now waiting in the egress queue.'),
        queueHighWater: count.describe('The most frames that ever waited there.'),
        pauses: count.describe('How often reading was held back because the only destination was full.'),
        fdbEntries: count.describe('Addresses now learned or fixed on this port.'),
        up: z.boolean(),
      })
      .describe('Seen from the switch: receive is into the switch.'),
  })
  .meta({ id: 'Port' }) satisfies z.ZodType<PortView>

export const portListSchema = z.object({ ports: z.array(portSchema) }).meta({ id: 'PortList' })

export const forwardSchema = z
  .object({
    protocol: z.enum(['tcp', 'udp']),
    host: z.string().describe('Where the host listens: address and port, or the absolute path of a unix socket.'),
    guest: z.string().describe('Where it goes: address and port of a guest.'),
  })
  .meta({ id: 'Forward' })

export const forwardListSchema = z.object({ forwards: z.array(forwardSchema) }).meta({ id: 'ForwardList' })

export const transportSchema = z
  .object({
    name: z.string(),
    kind: z.string(),
    listen: z.string().describe('How it is reached, e.g. a socket path.'),
    facts: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string()).readonly()]))
      .describe('What was found out or negotiated; which, depends on the kind.'),
    config: z
      .record(z.string(), z.unknown())
      .describe('In the form of the configuration file, with every default filled in.'),
    forwards: z
      .array(forwardSchema)
      .readonly()
      .nullable()
      .describe('Port forwards in force; null where there is no such thing.'),
    ports: z.int().nonnegative().describe('Ports it has now.'),
    state: z
      .enum(['serving', 'failed'])
      .describe('`failed`: it was detached, its ports are down, and it is tried again.'),
    reason: z.string().nullable().describe('Why it failed; null while it serves.'),
    failures: z.int().nonnegative().describe('How often it failed since it was opened.'),
    drops: countsOf(endpointDropReasons).describe('Datagrams discarded before any port was known, by reason.'),
    findings: ownFindings.describe('What is wrong with it now; what is wrong with its ports is there.'),
  })
  .meta({ id: 'Transport' }) satisfies z.ZodType<TransportView>

export const transportListSchema = z.object({ transports: z.array(transportSchema) }).meta({ id: 'TransportList' })

export const interfaceListSchema = z.object({ interfaces: z.array(transportSchema) }).meta({ id: 'InterfaceList' })

export const fdbEntrySchema = z
  .object({
    mac: z.string().describe('Lower case, colons.'),
    portId: z.int().nonnegative(),
    port: z.string().describe('Name of the port.'),
    static: z.boolean().describe('Fixed by hand: neither ages nor moves.'),
    ageSeconds: z
      .number()
      .nullable()
      .describe('Since a frame from this address was last seen; null for static entries.'),
  })
  .meta({ id: 'FdbEntry' }) satisfies z.ZodType<FdbEntryView>

export const fdbPageSchema = z
  .object({
    total: z.int().nonnegative().describe('Entries that match, on all pages.'),
    limit: z.int().positive(),
    offset: z.int().nonnegative(),
    entries: z.array(fdbEntrySchema).describe('Sorted by MAC address.'),
  })
  .meta({ id: 'FdbPage' })

export const switchSchema = z
  .object({
    name: z.string(),
    version: z.string().describe('Of tapswitch.'),
    maxFrameSize: bytes.describe('Bytes; Ethernet header and tag included, FCS not.'),
    startedAt: z.string().describe('ISO 8601.'),
    ports: z.int().nonnegative(),
    maxPorts: z.int().nonnegative(),
    bufferBytes: bytes.describe('Bytes of frames that may wait in egress queues, all ports together.'),
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
    log: z.object({
      linesDropped: count.describe('Lines of the log that stderr did not take, since the start.'),
    }),
    counters: z.object({
      turns: count.describe("Turns of the data plane's loop."),
      busySeconds: count.describe('Time it worked, waiting excluded.'),
      heartbeat: z.number().describe('Monotonic milliseconds at its last turn.'),
      fdbLearned: count,
      fdbMoved: count,
      fdbAged: count,
      fdbRefused: count,
      fdbFlapping: count.describe('Times an address moved more than 5 times within 10 s.'),
      fdbEntries: count,
      poolFree: count.describe('Free slots of the frame pool.'),
      poolSlots: count,
      eventsSuppressed: count.describe('Events not reported because too many came at once.'),
      floods: countsOf(floodCauses).describe('Frames sent to every port, by cause.'),
      batch: z
        .object({ sum: count, count, buckets: z.array(count) })
        .describe(
          `Frames a receive call brought: at most ${batchBuckets.join(', ')}, or more; each bucket excludes the one before.`,
        ),
    }),
  })
  .meta({ id: 'Switch' }) satisfies z.ZodType<SwitchInfo>

/** RFC 9457. `code` is the stable part, for programs; `detail` is for people. */
export const problemSchema = z
  .object({
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
  .meta({ id: 'Problem' })
export type Problem = z.infer<typeof problemSchema>

export const saveReportSchema = z
  .object({
    file: z.string().describe('The configuration file, absolute.'),
    written: z.boolean().describe('False when it said all of it already.'),
    notSaved: z.array(z.string()).describe('What a file cannot say, one sentence each.'),
  })
  .meta({ id: 'SaveReport' }) satisfies z.ZodType<SaveReport>

export const identitySchema = z
  .object({
    name: z
      .string()
      .describe('Of the token; `anonymous` without one, `local` for the own one of the switch, `page` for a session.'),
    role: z.enum(['read', 'control']),
  })
  .meta({ id: 'Identity' })

export const issuedSchema = z
  .object({ secret: z.string().describe('The token or the code.'), expires: z.string().describe('ISO 8601.') })
  .meta({ id: 'Issued' })
