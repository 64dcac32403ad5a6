/** What every stream transport hands to the data plane, whatever its role. */
import type { StreamConfig } from '../../config/config.js'
import { parseMac } from '../../wire/ethernet.js'
import { egressPolicy } from '../policy.js'
import type { TransportContext } from '../transport.js'

export type StreamContext = Pick<TransportContext, 'os' | 'send' | 'report'>

/**
 * Asked for in each direction of a connection. What the switch sent and the peer did not read is at most this, then the
 * port's queue; the kernel's own default (208 KiB for unix sockets) is three large frames.
 */
export const BUFFER_BYTES = 1024 * 1024

export function commonOptions({
  type,
  port,
  framing,
  keepAliveSeconds,
}: Pick<StreamConfig, 'port' | 'framing'> & { type: string; keepAliveSeconds: number }) {
  return {
    portKind: type,
    policy: egressPolicy(port),
    staticAddresses: port.fdb.static.map(mac => parseMac(mac) as number),
    framing,
    socket: { bufferBytes: BUFFER_BYTES, keepAliveSeconds },
  }
}
