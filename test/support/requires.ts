import { accessSync, constants, readdirSync } from 'node:fs'
import { basename, delimiter, dirname, join } from 'node:path'

/** The Debian package of each command the suite uses, where its name is not the command's. */
const packageOf: Record<string, string> = {
  bridge: 'iproute2',
  busybox: 'busybox-static',
  cc: 'gcc',
  dnsmasq: 'dnsmasq-base',
  ip: 'iproute2',
  nft: 'nftables',
  nginx: 'nginx-light',
  nm: 'binutils',
  ping: 'iputils-ping',
  promtool: 'prometheus',
  'qemu-system-x86_64': 'qemu-system-x86',
  'ovs-vsctl': 'openvswitch-switch',
  'ovs-vswitchd': 'openvswitch-switch',
  'ovsdb-server': 'openvswitch-switch',
  'ovsdb-tool': 'openvswitch-switch',
  setpriv: 'util-linux',
  unshare: 'util-linux',
  vtysh: 'frr',
  sysctl: 'procps',
  'systemd-analyze': 'systemd',
  'systemd-socket-activate': 'systemd',
  vde_switch: 'vde2',
}

export interface Needs {
  /** Must run as uid 0: network namespaces, TAP. */
  root?: boolean
  /** Names of programs that must be found on PATH. */
  commands?: string[]
  /** Paths that must be readable; the last part may hold one `*`. `from` is the package that has it. */
  files?: { path: string; from: string }[]
  platform?: NodeJS.Platform
}

/**
 * What a test needs of the machine, as node:test options: `test('...', requirements({ root: true }), ...)`. `skip` is
 * false, or one sentence that names everything missing and how to get it.
 */
export function requirements(needs: Needs): { skip: string | false } {
  const missing = [...missingPlatform(needs), ...missingCommands(needs), ...missingFiles(needs), ...missingRoot(needs)]
  return { skip: missing.length > 0 && `needs ${missing.join('; ')}` }
}

/** What all of these need. */
export function allOf(...needs: Needs[]): Needs {
  return {
    root: needs.some(({ root }) => root === true),
    commands: [...new Set(needs.flatMap(({ commands = [] }) => commands))],
    files: needs.flatMap(({ files = [] }) => files),
    platform: needs.find(({ platform }) => platform !== undefined)?.platform ?? process.platform,
  }
}

function missingPlatform({ platform = process.platform }: Needs): string[] {
  return platform === process.platform ? [] : [`${platform}, this is ${process.platform}`]
}

function missingCommands({ commands = [] }: Needs): string[] {
  return commands
    .filter(command => !findCommand(command))
    .map(command => `${command} (Debian package ${packageOf[command] ?? command})`)
}

function missingFiles({ files = [] }: Needs): string[] {
  return files.filter(({ path }) => !findFile(path)).map(({ path, from }) => `${path} (Debian package ${from})`)
}

function missingRoot({ root = false }: Needs): string[] {
  return root && process.getuid?.() !== 0 ? ['root'] : []
}

/** The full path of a program on PATH; `undefined` when there is none. */
export function findCommand(command: string): string | undefined {
  const { PATH = '' } = process.env
  const folders = PATH.split(delimiter).filter(folder => folder !== '')
  return folders.map(folder => join(folder, command)).find(path => allows(path, constants.X_OK))
}

/** The readable file `pattern` names, whose last part may hold one `*`; the last in alphabetical order of several. */
export function findFile(pattern: string): string | undefined {
  const [start, end] = basename(pattern).split('*') as [string, string?]
  if (end === undefined) return allows(pattern, constants.R_OK) ? pattern : undefined
  const names = allows(dirname(pattern), constants.R_OK) ? readdirSync(dirname(pattern)).sort() : []
  const name = names.findLast(candidate => candidate.startsWith(start) && candidate.endsWith(end))
  const path = name === undefined ? undefined : join(dirname(pattern), name)
  return path !== undefined && allows(path, constants.R_OK) ? path : undefined
}

function allows(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
