/** Addresses and bridges, through `ip`. */
import { OperatorError } from '../errors.js'
import { formatIpv4, parseIpv4 } from '../wire/ip-address.js'
import { type Ipv4Interface, overlap } from '../wire/ipv4-network.js'
import { runProgram } from './programs.js'
import { findLink, type Link } from './undo.js'

interface IpAddress {
  ifname?: string
  addr_info?: { local?: string; prefixlen?: number }[]
}

/**
 * Whether the TAP has this address already. Throws OperatorError when the network has addresses in common with that of
 * another interface: the kernel would take both and reach one.
 */
export async function hasAddress(netns: string | null, device: string, wanted: Ipv4Interface): Promise<boolean> {
  const links = JSON.parse(
    (await runProgram('ip', ['-json', '-4', 'address', 'show'], { netns })) || '[]',
  ) as IpAddress[]
  const text = `${formatIpv4(wanted.address)}/${wanted.prefixLength}`
  for (const { ifname = '', addr_info = [] } of links) {
    for (const { local = '', prefixlen = 32 } of addr_info) {
      const address = parseIpv4(local)
      if (address === undefined) continue
      if (ifname === device && address === wanted.address && prefixlen === wanted.prefixLength) return true
      if (!overlap(wanted, { address, prefixLength: prefixlen })) continue
      const what = address === wanted.address ? 'is taken by' : 'overlaps the network of'
      throw new OperatorError(`"${text}" ${what} ${ifname}, which has ${local}/${prefixlen}`, {
        path: 'address',
        value: text,
      })
    }
  }
  return false
}

export async function addAddress(netns: string | null, device: string, address: string): Promise<void> {
  await runProgram('ip', ['address', 'add', address, 'brd', '+', 'dev', device], { netns })
}

/** Undefined when there is none of this name. Throws OperatorError when what has the name is no bridge. */
export async function findBridge(netns: string | null, name: string): Promise<Link | undefined> {
  const link = await findLink(netns, name)
  if (link === undefined || link.type === 'bridge') return link
  throw new OperatorError(`"${name}" is not a bridge`, { path: 'bridge', value: name })
}

/** Makes a bridge, up. Its address is given, because otherwise it would change with the ports that come and go. */
export async function makeBridge(netns: string | null, name: string, mac: string): Promise<void> {
  // No spanning tree, and so no reason to wait for one before a new port forwards.
  await runProgram('ip', ['link', 'add', 'name', name, 'address', mac, 'type', 'bridge', 'forward_delay', '0'], {
    netns,
  })
  await runProgram('ip', ['link', 'set', 'dev', name, 'up'], { netns })
}

export async function joinBridge(netns: string | null, device: string, bridge: string): Promise<void> {
  await runProgram('ip', ['link', 'set', 'dev', device, 'master', bridge], { netns })
}
