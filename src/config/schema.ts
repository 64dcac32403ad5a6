/**
 * Every option, with its unit and default, in one place. Three things are made from it: the checks when a file is
 * loaded, config/tapswitch.schema.json for editors, and the table in docs/configuration.md.
 *
 * A schema says what one option may be. What takes two options or this machine to decide (paths, accounts, a port's
 * limit above the switch's) is in resolve.ts. A transport or interface is a member of a union chosen by `type`, and by
 * its keys where a type has more than one form; a further transport is one more file and one more member.
 */
import { z } from 'zod'
import { logLevels } from './config.js'
import { allow, group, name, oneOf, shortList, wholeNumber } from './fields.js'
import { httpOptions } from './http.js'
import { interfaceForms } from './interfaces.js'
import { bufferBytes, maxFrameSize, maxInterfaces, maxTransports } from './limits.js'
import { processOptions } from './process.js'
import { transportForms } from './transports.js'

const transport = allow('a transport: a mapping with name and type', z.union(transportForms))

const hostInterface = allow('an interface: a mapping with name and type', z.union(interfaceForms))

const switchOptions = group({
  name: name().default('tapswitch').describe('Shown in the API and the log.'),
  maxFrameSize: maxFrameSize()
    .default(1518)
    .describe('Bytes, Ethernet header and VLAN tag included, FCS not; larger frames are dropped.'),
  maxPorts: wholeNumber(2, 4096).default(1024).describe('Ports of all transports together.'),
  bufferBytes: wholeNumber(bufferBytes.min, bufferBytes.max)
    .default(bufferBytes.default)
    .describe('Bytes of frames that may wait in egress queues, all ports together; default 64 MiB.'),
  fdb: group({
    ageingSeconds: wholeNumber(1, 1_000_000)
      .default(300)
      .describe('Seconds after its last frame until a learned address is forgotten.'),
    maxEntries: wholeNumber(16, 1_048_576).default(16_384).describe('Addresses in the table, static ones included.'),
    maxEntriesPerPort: wholeNumber(1, 1_048_576)
      .optional()
      .describe(
        'Addresses of one port; further ones are not learned. Default: 4096, or `maxEntries` where that is less.',
      ),
  })
    .prefault({})
    .describe('Filtering database: which MAC address is behind which port.'),
})

export const configSchema = group({
  $schema: z.string().optional().describe('For editors; not read.'),
  runtimeDir: allow('an absolute path', z.string().regex(/^\/[^\0]*$/))
    .optional()
    .describe(
      'Directory of the sockets; made with mode 0700 when missing, and must belong to who runs the switch. Default: `$XDG_RUNTIME_DIR/tapswitch`, else `/tmp/tapswitch-<uid>`.',
    ),
  switch: switchOptions.prefault({}).describe('The switch itself.'),
  interfaces: shortList(hostInterface, maxInterfaces).default([]).describe("The host's side; at most 64."),
  transports: shortList(transport, maxTransports).default([]).describe("The guests' side; at most 256."),
  http: allow('false or a mapping of options', z.union([httpOptions, z.literal(false)]))
    .prefault({})
    .describe('HTTP server for metrics and state; `false` turns it off.'),
  process: processOptions
    .prefault({})
    .describe('Whom the switch goes on as once everything is open, and what it gives up.'),
  log: group({
    level: oneOf(logLevels).default('info').describe('The least that is written.'),
  })
    .prefault({})
    .describe('Log on stderr: readable on a terminal, else one JSON object a line.'),
})

export type ConfigInput = z.output<typeof configSchema>

/** JSON Schema (2020-12) of what a file may contain; load.ts leaves out keys that begin with `x-`. */
export function configJsonSchema(): z.core.JSONSchema.BaseSchema {
  return { ...z.toJSONSchema(configSchema, { io: 'input' }), patternProperties: { '^x-': {} } }
}
