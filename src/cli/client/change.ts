/**
 * `tapswitch add`, `remove`, `set`, `disconnect`, `learn`, `forget`, `flush`, `save`: changing a running switch. What
 * is to be added or set is written as in the configuration file, either as one YAML mapping or as `option=value` words:
 * `listen=vm1.sock port.isolated=true`.
 */
import { parse } from 'yaml'
import type { SaveReport } from '../../control/switch-control.js'
import { UsageError } from '../../errors.js'
import type { Output } from '../output.js'
import type { ApiClient } from './api-client.js'
import { findPort, printJson, type ShowOptions } from './show.js'

const sides = { transport: 'transports', interface: 'interfaces' } as const
export const attachmentKinds = Object.keys(sides)

export async function add(
  api: ApiClient,
  kind: string,
  words: readonly string[],
  { json }: ShowOptions,
  output: Output,
): Promise<void> {
  const added = await api.call('POST', `/v1/${sideOf(kind)}`, mappingOf(words))
  if (json) printJson(added, output)
  else output.out(`added ${kind} ${(added as { name: string }).name}`)
}

export async function remove(api: ApiClient, kind: string, name: string, output: Output): Promise<void> {
  await api.call('DELETE', `/v1/${sideOf(kind)}/${encodeURIComponent(name)}`)
  output.out(`removed ${kind} ${name}`)
}

/** `what` is `switch`, or a port by number or name. */
export async function set(
  api: ApiClient,
  what: string,
  words: readonly string[],
  { json }: ShowOptions,
  output: Output,
): Promise<void> {
  const path = what === 'switch' ? '/v1/switch' : `/v1/ports/${(await findPort(api, what)).id}`
  const changed = await api.call('PATCH', path, mappingOf(words))
  if (json) printJson(changed, output)
  else output.out(`changed ${what}`)
}

export async function disconnect(api: ApiClient, which: string, output: Output): Promise<void> {
  const port = await findPort(api, which)
  await api.call('DELETE', `/v1/ports/${port.id}`)
  output.out(`disconnected ${port.name}`)
}

/** Fixes an address to a port, or forgets one. */
export async function setAddress(api: ApiClient, mac: string, which: string, output: Output): Promise<void> {
  const port = await findPort(api, which)
  await api.call('POST', '/v1/fdb', { mac, port: port.id })
  output.out(`${mac} is at ${port.name}`)
}

export async function forgetAddress(api: ApiClient, mac: string, output: Output): Promise<void> {
  await api.call('DELETE', `/v1/fdb/${encodeURIComponent(mac)}`)
  output.out(`forgot ${mac}`)
}

/** Forgets what was learned, everywhere or at one port. */
export async function flush(api: ApiClient, which: string | undefined, output: Output): Promise<void> {
  const port = which === undefined ? undefined : await findPort(api, which)
  await api.call('POST', '/v1/fdb/flush', port === undefined ? {} : { port: port.id })
  output.out(port === undefined ? 'forgot all learned addresses' : `forgot the learned addresses of ${port.name}`)
}

export async function save(api: ApiClient, output: Output): Promise<void> {
  const { file, written, notSaved } = (await api.call('POST', '/v1/config/save')) as SaveReport
  output.out(written ? `written to ${file}` : `nothing to write: ${file} says what runs`)
  if (notSaved.length > 0)
    output.err(`not saved, as a file cannot say it:\n${notSaved.map(line => `  ${line}`).join('\n')}`)
}

function sideOf(kind: string): string {
  if (!Object.hasOwn(sides, kind)) throw new UsageError(`"${kind}" is not one of ${attachmentKinds.join(', ')}`)
  return sides[kind as keyof typeof sides]
}

/** @throws UsageError */
export function mappingOf(words: readonly string[]): Record<string, unknown> {
  if (words.length === 1 && words[0].trimStart().startsWith('{')) return yamlMapping(words[0])
  const mapping: Record<string, unknown> = {}
  for (const word of words) {
    const at = word.indexOf('=')
    if (at < 1) throw new UsageError(`"${word}" is not option=value, nor a mapping in braces`)
    place(mapping, word.slice(0, at).split('.'), yamlValue(word.slice(at + 1)))
  }
  return mapping
}

function place(mapping: Record<string, unknown>, [key, ...rest]: string[], value: unknown): void {
  if (key === '__proto__') throw new UsageError('"__proto__" is not an option')
  if (rest.length === 0) {
    mapping[key] = value
    return
  }
  const inner = mapping[key]
  const next = typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>) : {}
  mapping[key] = next
  place(next, rest, value)
}

function yamlMapping(text: string): Record<string, unknown> {
  const value = yamlValue(text)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new UsageError(`"${text}" is not a mapping`)
}

function yamlValue(text: string): unknown {
  try {
    return parse(text, { maxAliasCount: 0 })
  } catch {
    // Not everything one would put behind "=" is YAML: "[::1]:9000", "@name".
    return text
  }
}
