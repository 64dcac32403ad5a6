/** The policy that a transport or an interface gives to its ports. */
import type { z } from 'zod'
import { flag, group, list, macAddress, number, text, wholeNumber } from './fields.js'
import { maxFrameSize } from './limits.js'

const percent = (what: string) => number(0, 100).default(0).describe(`Percent of the frames that ${what}.`)

const impairment = group({
  seed: wholeNumber(0, 0x7fffffff)
    .default(1)
    .describe('The same seed, port name and frames are impaired in the same way again.'),
  loss: percent('are lost'),
  duplicate: percent('are sent twice'),
  reorder: percent('are overtaken by later ones'),
  reorderMs: number(0, 10_000)
    .default(5)
    .describe('Milliseconds that a reordered frame waits longer than its successors.'),
  delayMs: number(0, 60_000).default(0).describe('Milliseconds that every frame waits.'),
  jitterMs: number(0, 60_000)
    .default(0)
    .describe('Milliseconds that the delay varies by, in either direction; the order is kept.'),
  bitsPerSecond: wholeNumber(0, 100_000_000_000).default(0).describe('Bandwidth; 0: no limit.'),
  holdFrames: wholeNumber(1, 65_536)
    .default(4096)
    .describe('Frames that wait because of delay and bandwidth; further ones are dropped as `queue-full`.'),
})

const policy = {
  maxFrameSize: maxFrameSize()
    .optional()
    .describe('Bytes; larger frames are dropped at this port. At most and by default `switch.maxFrameSize`.'),
  isolated: flag().default(false).describe('Frames do not pass between two isolated ports.'),
  queueFrames: wholeNumber(1, 65_536)
    .default(2048)
    .describe('Frames that may wait for this port; further ones are dropped.'),
  impairment: impairment
    .optional()
    .describe(
      'For tests: makes what leaves the switch through the port suffer as on a bad line. Default: it does not.',
    ),
  mirrors: list(text('the name of a port, of a transport or interface, or "*"'))
    .optional()
    .describe(
      'Makes the port a mirror: it gets a copy of every frame that comes in or goes out at these ports, or at all ports of these transports and interfaces; `*` is all. What it sends is dropped.',
    ),
  trace: flag()
    .optional()
    .describe('Logs single frames, both ways: addresses, EtherType, length; 64 a second in all. Default: false.'),
}

const maxEntries = wholeNumber(1, 1_048_576)
  .optional()
  .describe('Addresses one port may have in the FDB. Default: `switch.fdb.maxEntriesPerPort`.')

export const portPolicyOfMany = group({
  ...policy,
  fdb: group({ maxEntries }, { static: 'only where a transport has one port: with peers: one, or with connect' })
    .prefault({})
    .describe('Share of the FDB.'),
})

export const portPolicyOfOne = group({
  ...policy,
  fdb: group({
    maxEntries,
    static: list(macAddress()).default([]).describe('MAC addresses that always belong to this port and never age.'),
  })
    .prefault({})
    .describe('Share of the FDB.'),
})

/** What both have; `static` only where there is one port. */
export type PortPolicyInput = Omit<z.output<typeof portPolicyOfOne>, 'fdb'> & {
  readonly fdb: { readonly maxEntries?: number | undefined; readonly static?: readonly string[] }
}
