/**
 * What fits through a tunnel. A guest's packet travels as  outer IP + UDP + tunnel header + inner Ethernet header +
 * packet:
 *
 *                    IPv4  IPv6
 *     outer IP         20    40
 *     UDP               8     8
 *     VXLAN             8     8      (not for plain udp)
 *     inner Ethernet   14    14
 *
 * so over a path of 1500 bytes a guest's MTU is at most 1450 (1430 over IPv6) with VXLAN, 1458 (1438) with plain UDP.
 * Frames with an 802.1Q tag take four bytes more.
 */
import type { Layout } from '../os/layout.js'
import type { InetAddress } from '../os/sockaddr-in.js'
import { pathMtu } from '../os/udp-socket.js'
import type { TunnelContext } from './open-udp.js'

const ETHERNET = 14
const UDP = 8
const TAG = 4
/** Paths asked for; beyond that the first ones speak for all. */
const MAX_PATHS = 64

export interface TunnelMtu {
  /** Bytes added to a guest's IP packet. */
  readonly overhead: number
  /** Smallest of the paths to the peers; null where the system does not say. */
  readonly path: number | null
  /** Largest MTU a guest may have; null where the path is unknown. */
  readonly guest: number | null
}

/** `header`: bytes of the tunnel's own header. */
export function tunnelMtu(
  layout: Layout,
  peers: readonly InetAddress[],
  family: 4 | 6,
  header: number,
  maxFrameSize: number,
): TunnelMtu {
  const overhead = (family === 4 ? 20 : 40) + UDP + header + ETHERNET
  const paths = peers.slice(0, MAX_PATHS).flatMap(peer => pathMtu(layout, peer) ?? [])
  if (paths.length === 0) return { overhead, path: null, guest: null }
  const path = Math.min(...paths)
  return { overhead, path, guest: Math.min(path - overhead, maxFrameSize - ETHERNET - TAG) }
}

/** Said once, when the way is too narrow for what guests take for granted. */
export function reportTunnelMtu({ report }: TunnelContext, { path, guest, overhead }: TunnelMtu): void {
  if (path === null || guest === null || guest >= 1500) return
  report({
    level: 'info',
    event: 'tunnel-mtu',
    message: `guests behind this tunnel need an MTU of at most ${guest}`,
    details: { guestMtu: guest, pathMtu: path, overheadBytes: overhead },
  })
}
