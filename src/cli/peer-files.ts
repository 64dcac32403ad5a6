/** How many files the peers of each configured transport may have open here. */
import type { Config } from '../config/config.js'

/**
 * One for a unixgram VM (a socket of its own, or the one that it took over) and for a stream connection, three for a
 * WebSocket client (its connection and both ends of its port's socket pair). Peers of udp, vxlan and fd share their
 * transport's sockets.
 */
export function peerFiles({ transports }: Pick<Config, 'transports'>): number[] {
  return transports.map(transport => {
    if (!('maxPeers' in transport)) return 1
    if (transport.type === 'websocket') return 3 * transport.maxPeers
    return transport.type === 'unixgram' || transport.type === 'stream' ? transport.maxPeers : 1
  })
}
