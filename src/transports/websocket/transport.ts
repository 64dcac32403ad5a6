/**
 * websocket: the main thread's half, served or dialling. The data plane's half is that of joined ports,
 * stream/endpoint.ts.
 */
import type { WebSocketConfig } from '../../config/config.js'
import type { UpgradeRoutes } from '../../upgrade-routes.js'
import type { Transport, TransportContext } from '../transport.js'
import { DialledWebSocket } from './dialled.js'
import { ServedWebSocket } from './served.js'
import { SwitchLinks } from './switch-links.js'

/** All WebSocket transports of one switch share what it is linked to; as they share where upgrades are registered. */
const linksOf = new WeakMap<UpgradeRoutes, SwitchLinks>()

export async function openWebSocket(
  config: WebSocketConfig,
  context: TransportContext,
): Promise<Transport<WebSocketConfig>> {
  const switches = linksOf.get(context.upgrades) ?? new SwitchLinks()
  linksOf.set(context.upgrades, switches)
  const transport =
    config.role === 'listen'
      ? await ServedWebSocket.open(config, context, switches)
      : new DialledWebSocket(config, context, switches)
  return transport as Transport as Transport<WebSocketConfig>
}
