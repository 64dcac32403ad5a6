/**
 * The form of a journal's file, and what each step in it may say: no more than this program writes. A step names a
 * setting, a table or a bridge only as the code that makes the change would name it, so a record cannot lead to another
 * file, table or bridge.
 */
import { z } from 'zod'
import { LINK_NAME, NETNS_NAME } from '../config/interfaces/tap.js'
import { parseIpv4Interface } from '../wire/ipv4-network.js'
import { madeUpMac } from './mac.js'
import { tableName } from './nat.js'
import type { ProcessIdentity } from './process-identity.js'
import { FORWARDING } from './sysctl.js'
import type { UndoStep } from './undo.js'

export interface UndoRecord {
  readonly process: ProcessIdentity
  readonly steps: readonly UndoStep[]
}

/** 64 interfaces, with fewer than sixteen steps each. */
const MAX_STEPS = 1024

const linkName = z.string().regex(LINK_NAME)
const mac = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)
const digits = z.string().regex(/^\d{1,20}$/)
const onOff = z.enum(['0', '1'])
const common = { netns: z.string().regex(NETNS_NAME).nullable(), namespace: digits }
const index = z.int().min(1)

const LINK_SETTING = /^ipv4\/conf\/(?!\.{1,2}\/)[^/\0]{1,15}\/forwarding$|^ipv4\/conf\/all\/accept_redirects$/
const forwarding = z.strictObject({
  ...common,
  kind: z.literal('setting'),
  name: z.literal(FORWARDING),
  value: z.literal('1'),
  before: z.record(z.union([z.literal(FORWARDING), z.string().regex(LINK_SETTING)]), onOff),
})

const noIpv6 = z
  .strictObject({
    ...common,
    kind: z.literal('setting'),
    name: z.string().regex(/^ipv6\/conf\/[A-Za-z][A-Za-z0-9_.-]{0,14}\/disable_ipv6$/),
    value: z.literal('1'),
    before: z.record(z.string(), onOff),
  })
  .refine(({ name, before }) => Object.keys(before).every(key => key === name), 'another setting than its own')

/** Arguments of `ip link set dev <device>`. */
const linkBefore = z
  .array(z.string())
  .max(5)
  .refine(
    args => /^(nomaster|((^| )(address [0-9a-f]{2}(:[0-9a-f]{2}){5}|mtu \d{1,5}|down))+)$/.test(args.join(' ')),
    'no settings of a link',
  )

const table = z
  .string()
  .refine(text => text.startsWith(tableName('')) && LINK_NAME.test(text.slice(tableName('').length)))

function steps(runtimeDir: string) {
  const bridge = z
    .strictObject({ ...common, kind: z.literal('bridge'), bridge: linkName, mac })
    .refine(
      step => step.mac === madeUpMac(runtimeDir, 'bridge', step.bridge, step.netns ?? ''),
      'a bridge that was not made here',
    )
  return z
    .array(
      z.union([
        z.strictObject({
          ...common,
          kind: z.literal('table'),
          table,
          comment: z.string().regex(/^made by tapswitch, process \d+, started \d*$/),
        }),
        bridge,
        forwarding,
        noIpv6,
        z.strictObject({
          ...common,
          kind: z.literal('address'),
          device: linkName,
          index,
          address: z.string().refine(text => parseIpv4Interface(text) !== undefined),
        }),
        z.strictObject({ ...common, kind: z.literal('link'), device: linkName, index, before: linkBefore }),
      ]),
    )
    .max(MAX_STEPS)
}

/** Undefined where the text is not a record that this program wrote for this runtime directory. */
export function parseRecord(text: string, runtimeDir: string): UndoRecord | undefined {
  const schema = z.strictObject({
    process: z.strictObject({ pid: z.int().min(1), startTime: digits, bootId: z.string().regex(/^[0-9a-f-]{1,64}$/) }),
    steps: steps(runtimeDir),
  })
  try {
    return schema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
