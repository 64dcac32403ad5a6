/**
 * Writes what was changed while the switch runs into its configuration file: transports and interfaces that were added
 * or removed, their forwards, settings of the switch, and of ports those that a file can name, which are the only port
 * of their transport. The text that comes of it is read back, and must mean what runs, before it takes the place of the
 * file.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Side } from '../config/change.js'
import type { Config, PortPolicyConfig } from '../config/config.js'
import type { ConfigFile } from '../config/config-file.js'
import { type EntryEdit, editConfigText, type Option } from '../config/edit.js'
import { effectiveConfig } from '../config/effective.js'
import { effectiveInterface, isInterface } from '../config/interfaces.js'
import { effectiveTransport } from '../config/transports.js'
import type { DataPlane, PortRecord } from '../dataplane/data-plane.js'
import { ConfigError } from '../errors.js'
import { formatMac, highOf, lowOf } from '../wire/ethernet.js'
import type { Attachments } from './attachments.js'
import type { AnyConfig } from './openers.js'
import { Refused, type SaveReport } from './switch-control.js'

interface SaveParts {
  readonly file: ConfigFile
  readonly config: Config
  readonly dataPlane: DataPlane
  readonly attachments: Attachments
  /** Entries as they were written when they were added. */
  readonly written: ReadonlyMap<string, unknown>
}

/**
 * Returns the configuration as it is in the file now. Throws Refused, or OperatorError when the file cannot be written.
 */
export function saveConfig({ file, config, dataPlane, attachments, written }: SaveParts): {
  report: SaveReport
  saved: Config
} {
  if (file.isOwn) {
    throw new Refused(
      'not-saved',
      `The switch runs with the file that comes with the package, which is not written; copy ${file.path} and start with -c COPY.`,
    )
  }
  const text = file.unchangedText()
  if (text === undefined) {
    throw new Refused('file-changed', `${file.path} was changed since it was read; reload it first (SIGHUP).`)
  }
  const ports = [...dataPlane.ports.values()]
  const wanted = withLiveSettings(config, ports, attachments)
  const before = file.parse(text)
  const options = switchOptions(before, wanted)
  const followed = withOptions(file, text, before, options)
  const entries = (side: Side) =>
    wanted[side].map((entry, i) => {
      const asAdded = entry === config[side][i] ? written.get(entry.name) : undefined
      return entryEdit(
        followed[side].find(({ name }) => name === entry.name),
        entry,
        asAdded,
      )
    })
  const edited = editConfigText(text, {
    entries: { interfaces: entries('interfaces'), transports: entries('transports') },
    options,
  })
  if (edited === undefined || !isSaid(file, edited, wanted)) {
    throw new Refused(
      'not-saved',
      `${file.path} is written in a way that cannot be edited; the changes have to be made by hand.`,
    )
  }
  const isNews = !meansTheSame(before, wanted)
  if (isNews) file.replace(edited)
  return { report: { file: file.path, written: isNews, notSaved: notSaved(ports, config) }, saved: wanted }
}

/** Whether a text means what runs. Not if it is none: what was taken out may have held an anchor. */
function isSaid(file: ConfigFile, text: string, wanted: Config): boolean {
  try {
    return meansTheSame(file.parse(text), wanted)
  } catch (error) {
    if (error instanceof ConfigError) return false
    throw error
  }
}

/** What the entries of the file mean under the new settings of the switch: many take theirs from those. */
function withOptions(file: ConfigFile, text: string, before: Config, options: readonly Option[]): Config {
  const keep = (side: Side): EntryEdit[] => before[side].map(({ name }) => ({ name, is: 'kept' }))
  const edited = editConfigText(text, {
    entries: { interfaces: keep('interfaces'), transports: keep('transports') },
    options,
  })
  try {
    return edited === undefined ? before : file.parse(edited)
  } catch (error) {
    // An entry that is about to be removed or changed may not fit them.
    if (error instanceof ConfigError) return before
    throw error
  }
}

/** With what was set for ports and forwards since it was opened. */
function withLiveSettings(config: Config, ports: readonly PortRecord[], attachments: Attachments): Config {
  const live = <Entry extends AnyConfig>(entry: Entry): Entry => {
    const port = ports.find(({ givenName, endpoint }) => givenName === entry.name && endpoint === entry.name)
    const policy = port === undefined ? entry.port : withPortSettings(entry.port, port)
    const forwards = attachments.get(entry.name)?.transport.forwards?.()
    const next = { ...entry, port: policy, ...(forwards !== undefined && 'forwards' in entry ? { forwards } : {}) }
    return isDeepStrictEqual(next, entry) ? entry : next
  }
  return { ...config, transports: config.transports.map(live), interfaces: config.interfaces.map(live) }
}

function withPortSettings(policy: PortPolicyConfig, { settings }: PortRecord): PortPolicyConfig {
  const { maxEntries = policy.fdb.maxEntries, ...rest } = settings.policy
  const statics = settings.staticAddresses.map(mac => formatMac(highOf(mac), lowOf(mac)))
  const { maxFrameSize = policy.maxFrameSize, isolated = policy.isolated, queueFrames = policy.queueFrames } = rest
  const mirrors = rest.mirrors ?? policy.mirrors
  return {
    ...policy,
    maxFrameSize,
    isolated,
    queueFrames,
    ...(mirrors && { mirrors }),
    fdb: { ...policy.fdb, maxEntries, static: statics },
  }
}

function entryEdit(before: AnyConfig | undefined, entry: AnyConfig, asAdded: unknown): EntryEdit {
  const { name } = entry
  const value = asAdded ?? (isInterface(entry) ? effectiveInterface(entry) : effectiveTransport(entry))
  if (before === undefined) return { name, is: 'new', value }
  if (isDeepStrictEqual(before, entry)) return { name, is: 'kept' }
  const { port: portBefore, ...restBefore } = before as AnyConfig & { forwards?: unknown }
  const { port, ...rest } = entry as AnyConfig & { forwards?: unknown }
  const { forwards: _before, ...fixedBefore } = restBefore
  const { forwards, ...fixed } = rest
  if (!isDeepStrictEqual(fixedBefore, fixed)) return { name, is: 'replaced', value }
  const options: Option[] = []
  for (const key of ['maxFrameSize', 'isolated', 'queueFrames', 'mirrors'] as const) {
    if (!isDeepStrictEqual(portBefore[key], port[key])) options.push([['port', key], port[key]])
  }
  for (const key of ['maxEntries', 'static'] as const) {
    if (!isDeepStrictEqual(portBefore.fdb[key], port.fdb[key])) options.push([['port', 'fdb', key], port.fdb[key]])
  }
  if (!isDeepStrictEqual(restBefore.forwards, forwards)) options.push([['forwards'], forwards])
  return { name, is: 'changed', options }
}

function switchOptions(before: Config, wanted: Config): Option[] {
  const options: Option[] = []
  for (const key of ['name', 'maxFrameSize', 'bufferBytes'] as const) {
    if (before.switch[key] !== wanted.switch[key]) options.push([['switch', key], wanted.switch[key]])
  }
  for (const key of ['ageingSeconds', 'maxEntries', 'maxEntriesPerPort'] as const) {
    if (before.switch.fdb[key] !== wanted.switch.fdb[key])
      options.push([['switch', 'fdb', key], wanted.switch.fdb[key]])
  }
  return options
}

/** What can change while it runs; the rest of the file is not ours. */
function meansTheSame(one: Config, other: Config): boolean {
  const part = (config: Config) => {
    const { interfaces, transports } = effectiveConfig(config)
    const { maxPorts: _maxPorts, ...rest } = config.switch
    return { interfaces, transports, rest }
  }
  return isDeepStrictEqual(part(one), part(other))
}

function notSaved(ports: readonly PortRecord[], config: Config): string[] {
  const lines: string[] = []
  const names = new Set([...config.transports, ...config.interfaces].map(({ name }) => name))
  for (const { id, name, givenName, endpoint, settings } of ports) {
    const about = `port ${id} (${givenName})`
    if (name !== givenName) lines.push(`${about}: the name "${name}"`)
    if (!settings.enabled) lines.push(`${about}: that it is switched off`)
    if (names.has(givenName) && givenName === endpoint) continue
    if (Object.keys(settings.policy).length > 0) lines.push(`${about}: its policy, as it is one of many`)
    if (settings.staticAddresses.length > 0) lines.push(`${about}: its static addresses, as it is one of many`)
  }
  return lines
}
