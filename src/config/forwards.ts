/**
 * Port forwards of an interface that hides its guests behind the host: who connects to an address of the host reaches a
 * guest. In the file when the interface opens, over the API while it runs.
 */
import { z } from 'zod'
import type { Problem } from '../errors.js'
import { allow, group, oneOf } from './fields.js'
import { type Forward, type ForwardEnd, parseForwardEnd } from './forward-end.js'
import { valueText } from './messages.js'

export { type Forward, type ForwardEnd, parseForwardEnd }

export const forwardForm = group({
  protocol: oneOf(['tcp', 'udp']).default('tcp').describe('What is forwarded.'),
  host: allow(
    'an address and port of this host such as "127.0.0.1:2222" or "[::1]:2222", or the absolute path of a unix socket',
    z.string().refine(text => parseForwardEnd(text) !== undefined),
  ).describe('Where this host listens: address and port, or the absolute path of a unix socket (TCP).'),
  guest: allow(
    'an address and port of a guest such as "10.0.2.15:22"',
    z.string().refine(text => (parseForwardEnd(text)?.family ?? 'unix') !== 'unix'),
  ).describe('Where it goes: address and port of a guest.'),
})

/** Two names for the same place; of a list, each may occur once. */
export const forwardKey = ({ protocol, host }: Pick<Forward, 'protocol' | 'host'>): string => `${protocol}:${host}`

/** `path` is that of the list, e.g. `interfaces[0].forwards`. */
export function checkForwards(forwards: readonly Forward[], path: string, problems: Problem[]): void {
  const taken = new Map<string, string>()
  for (const [i, forward] of forwards.entries()) {
    const key = forwardKey(forward)
    const first = taken.get(key)
    if (first === undefined) taken.set(key, `${path}[${i}]`)
    else problems.push({ path: `${path}[${i}].host`, message: `${valueText(forward.host)} is taken by ${first}` })
    if (forward.protocol === 'udp' && forward.host.startsWith('/')) {
      problems.push({
        path: `${path}[${i}].protocol`,
        message: '"udp" is not possible with a unix socket; it must be "tcp"',
      })
    }
  }
}
