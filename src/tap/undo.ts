/**
 * How each change to the machine is taken back. A change is described by data, not by a function, because the process
 * that takes it back may not be the one that made it.
 *
 * Nothing is touched that is not ours: a table by the comment we put into it, a bridge by the MAC address we gave it,
 * an interface by its index, a setting only while it has the value we wrote, a namespace by the inode of its file. What
 * is gone already is taken back already.
 */
import { namespaceIdentity } from './namespace.js'
import { runProgram } from './programs.js'
import { FORWARDING, readSetting, restoreSettings, type Settings } from './sysctl.js'

export type UndoStep = {
  /** Name of the namespace, and which one of this name it was. */
  readonly netns: string | null
  readonly namespace: string
} & (
  | { readonly kind: 'table'; readonly table: string; readonly comment: string }
  | { readonly kind: 'bridge'; readonly bridge: string; readonly mac: string }
  | { readonly kind: 'setting'; readonly name: string; readonly value: string; readonly before: Settings }
  | { readonly kind: 'address'; readonly device: string; readonly index: number; readonly address: string }
  | {
      readonly kind: 'link'
      readonly device: string
      readonly index: number
      /** Arguments of `ip link set dev <device>`, as it was before. */
      readonly before: readonly string[]
    }
)

/** Throws ProgramError, or what the file system throws, when it cannot be done. */
export async function undo(step: UndoStep): Promise<void> {
  const { netns } = step
  if (namespaceIdentity(netns) !== step.namespace) return
  switch (step.kind) {
    case 'table':
      if (await hasTable(netns, step.table, step.comment)) {
        await runProgram('nft', ['delete', 'table', 'inet', step.table], { netns })
      }
      return
    case 'bridge':
      await removeBridge(netns, step.bridge, step.mac)
      return
    case 'setting':
      if (step.name === FORWARDING && (await anotherForwards(netns))) return
      if (readSetting(netns, step.name) === step.value) restoreSettings(netns, step.before)
      return
    case 'address':
      if ((await findLink(netns, step.device))?.index === step.index) {
        await runProgram('ip', ['address', 'delete', step.address, 'dev', step.device], { netns })
      }
      return
    case 'link':
      if ((await findLink(netns, step.device))?.index === step.index) {
        await runProgram('ip', ['link', 'set', 'dev', step.device, ...step.before], { netns })
      }
  }
}

async function removeBridge(netns: string | null, bridge: string, mac: string): Promise<void> {
  const links = await listLinks(netns)
  if (links.find(({ name }) => name === bridge)?.mac !== mac) return
  const ports = links.filter(({ master }) => master === bridge).map(({ name }) => name)
  if (ports.length > 0) throw new Error(`${bridge} stays: others have joined it (${ports.join(', ')})`)
  await runProgram('ip', ['link', 'delete', 'dev', bridge], { netns })
}

/** Our own table is gone by now: another switch that came later needs forwarding, and did not turn it on. */
async function anotherForwards(netns: string | null): Promise<boolean> {
  return (await runProgram('nft', ['list', 'tables', 'inet'], { netns })).includes('table inet tapswitch_')
}

/** One interface as `ip -json link` shows it. */
export interface Link {
  readonly name: string
  readonly index: number
  readonly mac: string
  readonly mtu: number
  readonly up: boolean
  /** The bridge it is a port of. */
  readonly master: string | null
  /** `bridge`, `tun`, ...; empty for hardware. */
  readonly type: string
}

interface IpLink {
  ifname: string
  ifindex: number
  address?: string
  mtu: number
  flags: string[]
  master?: string
  linkinfo?: { info_kind?: string }
}

/** The interfaces of a namespace. */
export async function listLinks(netns: string | null): Promise<Link[]> {
  const links = JSON.parse(
    (await runProgram('ip', ['-details', '-json', 'link', 'show'], { netns })) || '[]',
  ) as IpLink[]
  return links.map(({ ifname, ifindex, address, mtu, flags, master, linkinfo }) => ({
    name: ifname,
    index: ifindex,
    mac: address ?? '',
    mtu,
    up: flags.includes('UP'),
    master: master ?? null,
    type: linkinfo?.info_kind ?? '',
  }))
}

export async function findLink(netns: string | null, name: string): Promise<Link | undefined> {
  return (await listLinks(netns)).find(link => link.name === name)
}

async function hasTable(netns: string | null, table: string, comment: string): Promise<boolean> {
  const tables = await runProgram('nft', ['list', 'tables', 'inet'], { netns })
  if (!tables.split('\n').includes(`table inet ${table}`)) return false
  return (await runProgram('nft', ['list', 'table', 'inet', table], { netns })).includes(`comment "${comment}"`)
}
