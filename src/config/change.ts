/**
 * A configuration with one thing more or less, checked as if it had been written in the file. The running one is
 * brought back into the form of a file, changed there, and resolved anew: so whatever a file may not say, a change may
 * not say either.
 */
import { ConfigError } from '../errors.js'
import type { Config } from './config.js'
import { effectiveConfig } from './effective.js'
import { issueMessage, problemsOf } from './messages.js'
import { resolveConfig } from './resolve.js'
import { configSchema } from './schema.js'
import type { Surroundings } from './scope.js'

/** Which list: the guests' side or the host's. */
export type Side = 'transports' | 'interfaces'

/**
 * Paths of problems are those within the entry: `listen`, not `transports[3].listen`.
 * @throws ConfigError
 */
export function withEntry(config: Config, side: Side, entry: unknown, around: Surroundings): Config {
  const before = effectiveConfig(config)
  const entries = [...(before[side] as unknown[]), entry]
  const own = `${side}[${entries.length - 1}]`
  try {
    return resolveInput({ ...before, [side]: entries }, around)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(error.problems.map(problem => ({ ...problem, path: within(problem.path, own) })))
  }
}

/** Without the transport or interface of this name; the same configuration where there is none. */
export function withoutEntry(config: Config, side: Side, name: string): Config {
  const isOther = (entry: { readonly name: string }) => entry.name !== name
  return { ...config, [side]: config[side].filter(isOther) }
}

/**
 * With other settings of the switch. Ports that have just what the switch gives them go along with it.
 * @throws ConfigError
 */
export function withSwitch(config: Config, change: SwitchInput, around: Surroundings): Config {
  const before = effectiveConfig(config)
  const { maxFrameSize, fdb } = config.switch
  const followers = (entries: unknown) => (entries as EffectiveEntry[]).map(entry => follow(entry, maxFrameSize, fdb))
  return resolveInput(
    {
      ...before,
      switch: { ...config.switch, ...change, fdb: { ...fdb, ...change.fdb } },
      transports: followers(before.transports),
      interfaces: followers(before.interfaces),
    },
    around,
  )
}

/** Undefined: as it is. */
export interface SwitchInput {
  readonly name?: string | undefined
  readonly maxFrameSize?: number | undefined
  readonly bufferBytes?: number | undefined
  readonly fdb?: Partial<Record<'ageingSeconds' | 'maxEntries' | 'maxEntriesPerPort', number | undefined>> | undefined
}

interface EffectiveEntry {
  readonly port: { readonly maxFrameSize?: number; readonly fdb: { readonly maxEntries?: number } }
}

function follow({ port, ...entry }: EffectiveEntry, maxFrameSize: number, fdb: Config['switch']['fdb']): unknown {
  const { maxFrameSize: own, fdb: share, ...policy } = port
  const { maxEntries, ...rest } = share
  return {
    ...entry,
    port: {
      ...policy,
      ...(own === maxFrameSize ? {} : { maxFrameSize: own }),
      fdb: { ...rest, ...(maxEntries === fdb.maxEntriesPerPort ? {} : { maxEntries }) },
    },
  }
}

function resolveInput(value: unknown, around: Surroundings): Config {
  const result = configSchema.safeParse(value, { error: issueMessage, reportInput: true })
  if (!result.success) throw new ConfigError(problemsOf(result.error.issues))
  return resolveConfig(result.data, around)
}

function within(path: string, own: string): string {
  return path === own ? '' : path.startsWith(`${own}.`) ? path.slice(own.length + 1) : path
}
