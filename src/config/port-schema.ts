/** The policy that a transport or an interface gives to its ports. */
import type { z } from 'zod'
import { flag, group, list, macAddress, wholeNumber } from './fields.js'
import { maxFrameSize } from './limits.js'

const policy = {
  maxFrameSize: maxFrameSize()
    .optional()
    .describe('Bytes; larger frames are dropped at this port. At most and by default `switch.maxFrameSize`.'),
  isolated: flag().default(false).describe('Frames do not pass between two isolated ports.'),
  queueFrames: wholeNumber(1, 65_536)
    .default(2048)
    .describe('Frames that may wait for this port; further ones are dropped.'),
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
