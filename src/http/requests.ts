/** What the HTTP API understands: parameters of paths and queries, and bodies. A field that is not known is refused. */
import { roles } from '../config/http.js'
import { switchEventTypes } from '../control/event-bus.js'
import { wholeNumber } from './whole-number.js'
import { z } from './zod-compiler.js'

export { roles }

const macAddress = z
  .string()
  .regex(/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i, 'must be a MAC address such as 52:54:00:12:34:56')
  .overwrite(mac => mac.toLowerCase().replaceAll('-', ':'))
  .meta({ example: '52:54:00:12:34:56' })

/** Of one station: neither a group address nor all zeros. */
const stationAddress = macAddress.refine(
  mac => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0 && mac !== '00:00:00:00:00:00',
  'must be the address of one station, not a group address or all zeros',
)

const portReference = z.string().min(1).max(256).describe("A port's id or name.").meta({ example: 'vms:1' })
/** In a body a number may be one. */
const portInBody = z.union([portReference, z.int().nonnegative().transform(String)]).describe("A port's id or name.")

export const noQuery = z.strictObject({})

export const portParameters = z.strictObject({
  id: wholeNumber(0, 2 ** 31 - 1)
    .describe('Number of a port.')
    .meta({ example: 1 }),
})

export const nameParameters = z.strictObject({
  name: z.string().min(1).max(63).describe('Name of the transport or interface.').meta({ example: 'vms' }),
})

export const macParameters = z.strictObject({
  mac: macAddress.describe('Case does not matter, `-` is as good as `:`.'),
})

export const fdbQuery = z.strictObject({
  port: portReference.optional().describe('Only entries of this port: its id or name.'),
  mac: macAddress.optional().describe('Only this address.'),
  limit: wholeNumber(1, 10_000).default(1000).describe('Entries on a page, 1 to 10000.'),
  offset: wholeNumber(0, 2 ** 31 - 1)
    .default(0)
    .describe('Entries to leave out before the first.'),
})

export const portChange = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'must be lower-case letters, digits, ".", "_" and "-", at most 63')
      .nullable()
      .optional()
      .describe('Another name, without ":"; null gives back the first one.'),
    enabled: z.boolean().optional().describe('False switches the port off: it forwards nothing.'),
    maxFrameSize: z.int().min(64).max(65_550).nullable().optional().describe('Bytes, at most that of the switch.'),
    isolated: z.boolean().nullable().optional().describe('Isolated ports exchange no frames with each other.'),
    queueFrames: z.int().min(1).max(65_536).nullable().optional().describe('Frames that may wait for this port.'),
    maxEntries: z.int().min(1).max(1_048_576).nullable().optional().describe('FDB entries this port may hold.'),
    mirrors: z
      .array(z.string().min(1).max(256))
      .max(64)
      .nullable()
      .optional()
      .describe(
        'Names of ports, transports and interfaces whose frames it gets copies of, or `*`; none makes it an ordinary port.',
      ),
  })
  .describe('What is left out stays; null is what the configuration says.')
  .meta({ id: 'PortChange', example: { enabled: false } })

export const switchChange = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'must be lower-case letters, digits, ".", "_" and "-", at most 63')
      .optional(),
    maxFrameSize: z
      .int()
      .min(64)
      .max(65_550)
      .optional()
      .describe('Bytes. Starts the data plane anew: queues are lost.'),
    bufferBytes: z
      .int()
      .min(4 * 1024 * 1024)
      .max(1024 * 1024 * 1024)
      .optional()
      .describe('Bytes. Starts the data plane anew: queues are lost.'),
    fdb: z
      .strictObject({
        ageingSeconds: z.int().min(1).max(1_000_000).optional(),
        maxEntries: z
          .int()
          .min(16)
          .max(1_048_576)
          .optional()
          .describe('Starts the data plane anew with an empty table.'),
        maxEntriesPerPort: z.int().min(1).max(1_048_576).optional(),
      })
      .optional(),
  })
  .describe('What is left out stays.')
  .meta({ id: 'SwitchChange', example: { fdb: { ageingSeconds: 60 } } })

export const newEntry = z
  .strictObject({ mac: stationAddress, port: portInBody })
  .meta({ id: 'NewFdbEntry', example: { mac: '52:54:00:12:34:56', port: 'vm1' } })

/** A request without a body flushes everything. */
export const flushBody = z
  .strictObject({ port: portInBody.optional().describe('Only what was learned on this port: its id or name.') })
  .nullish()

export const forwardKey = z.strictObject({
  protocol: z.enum(['tcp', 'udp']).default('tcp').describe('Of the forward that is to end.'),
  host: z.string().min(1).max(256).describe('As it was added: `127.0.0.1:2222`.').meta({ example: '127.0.0.1:2222' }),
})

const eventType = z.enum(switchEventTypes)

export const eventQuery = z.strictObject({
  type: z
    .string()
    .transform(text => text.split(','))
    .pipe(z.array(eventType).min(1))
    .optional()
    .describe(
      `Only these, with commas between them. There are: ${switchEventTypes.map(type => `\`${type}\``).join(', ')}.`,
    )
    .meta({ example: 'port-up,port-down' }),
  tail: wholeNumber(0, 1000).default(0).describe('Events that have happened already, to begin with.'),
})

export const eventHeaders = z.looseObject({
  'last-event-id': z.string().max(64).optional().describe('Goes on after this event.'),
})
