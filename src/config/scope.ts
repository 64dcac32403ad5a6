/**
 * What the checks of one transport or interface share: this machine, the limits of the switch, the socket paths that
 * are taken, and the list of problems. And the steps that all types have in common: the policy of the ports, names of
 * accounts.
 */
import type { Problem } from '../errors.js'
import type { AccountKind } from './accounts.js'
import type { PortPolicyConfig, SwitchConfig } from './config.js'
import { valueText } from './messages.js'
import type { PortPolicyInput } from './port-schema.js'
import type { ProcessConfig } from './process.js'
import type { SocketPaths } from './socket-paths.js'

/** What the result depends on besides the file. */
export interface Surroundings {
  /** Absolute path of the file. */
  readonly file: string
  readonly platform: NodeJS.Platform
  readonly env: NodeJS.ProcessEnv
  /** Of who runs the switch. */
  readonly uid: number
  readonly accountNumber: (kind: AccountKind, name: string) => number | undefined
  /** Group of a user as the system has it; undefined for a number that is nobody's. */
  readonly primaryGroup: (uid: number) => number | undefined
}

export interface Scope {
  readonly around: Surroundings
  readonly paths: SocketPaths
  readonly problems: Problem[]
  readonly switch: SwitchConfig
  /** Whom the process goes on as; null: who it is. */
  readonly process: ProcessConfig | null
}

/** `path` is that of the `port` mapping, e.g. `transports[0].port`. */
export function resolvePort(
  input: PortPolicyInput,
  path: string,
  { switch: limits, problems }: Scope,
): PortPolicyConfig {
  const maxFrameSize = input.maxFrameSize ?? limits.maxFrameSize
  if (maxFrameSize > limits.maxFrameSize) {
    const message = `${maxFrameSize} is more than switch.maxFrameSize, which is ${limits.maxFrameSize}`
    problems.push({ path: `${path}.maxFrameSize`, message })
  }
  const maxEntries = input.fdb.maxEntries ?? limits.fdb.maxEntriesPerPort
  if (input.fdb.maxEntries !== undefined && maxEntries > limits.fdb.maxEntries) {
    const message = `${maxEntries} is more than switch.fdb.maxEntries, which is ${limits.fdb.maxEntries}`
    problems.push({ path: `${path}.fdb.maxEntries`, message })
  }
  const addresses = input.fdb.static?.map(mac => mac.toLowerCase().replaceAll('-', ':')) ?? []
  if (addresses.length > maxEntries) {
    const message = `${addresses.length} addresses are more than the port may have, which is ${maxEntries}`
    problems.push({ path: `${path}.fdb.static`, message })
  }
  for (const [i, mac] of addresses.entries()) {
    if (isUnicast(mac)) continue
    const message = `"${mac}" is not the address of one station: it is a group address or all zeros`
    problems.push({ path: `${path}.fdb.static[${i}]`, message })
  }
  return {
    maxFrameSize,
    isolated: input.isolated,
    queueFrames: input.queueFrames,
    fdb: { maxEntries, static: addresses },
    ...(input.impairment && { impairment: input.impairment }),
    ...(input.mirrors && { mirrors: input.mirrors }),
    ...(input.trace && { trace: true }),
  }
}

/** Number of an account given by name or number; null when none is given, or when there is none (a problem then). */
export function resolveAccount(
  kind: AccountKind,
  value: string | number | undefined,
  path: string,
  scope: Pick<Scope, 'around' | 'problems'>,
): number | null {
  if (value === undefined) return null
  if (typeof value === 'number') return value
  const number = /^\d+$/.test(value) ? Number(value) : scope.around.accountNumber(kind, value)
  if (number === undefined) {
    scope.problems.push({ path, message: `${valueText(value)} is not a ${kind} of this system` })
    return null
  }
  return number
}

/** Whose a socket file becomes: by default that of who serves it. Null leaves what the process has. */
export function resolveOwnership(
  input: { readonly owner?: string | number | undefined; readonly group?: string | number | undefined },
  path: string,
  scope: Scope,
): { owner: number | null; group: number | null } {
  return {
    owner: resolveAccount('user', input.owner, `${path}.owner`, scope) ?? scope.process?.uid ?? null,
    group: resolveAccount('group', input.group, `${path}.group`, scope) ?? scope.process?.gid ?? null,
  }
}

/** Octets in lower case with colons. */
function isUnicast(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0 && mac !== '00:00:00:00:00:00'
}
