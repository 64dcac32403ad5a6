/** udp: the main thread's half, in either of its forms. */
import type { UdpConfig } from '../../config/config.js'
import type { TunnelContext } from '../open-udp.js'
import type { Transport } from '../transport.js'
import { openUdpGroup } from './group-transport.js'
import { openUdpPeers } from './peers-transport.js'

export function openUdp(config: UdpConfig, context: TunnelContext): Promise<Transport<UdpConfig>> {
  return (config.role === 'group' ? openUdpGroup(config, context) : openUdpPeers(config, context)) as Promise<
    Transport<UdpConfig>
  >
}
