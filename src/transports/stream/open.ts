/** The stream transport, in either role. */
import type { StreamConfig } from '../../config/config.js'
import type { Transport } from '../transport.js'
import type { StreamContext } from './common-options.js'
import { openStreamDialler } from './dialler.js'
import { openStreamListener } from './listener.js'

export async function openStreamTransport(
  config: StreamConfig,
  context: StreamContext,
): Promise<Transport<StreamConfig>> {
  const transport = config.role === 'listen' ? openStreamListener(config, context) : openStreamDialler(config, context)
  return (await transport) as unknown as Transport<StreamConfig>
}
