/** From the type of a transport or interface to what opens it. A further type is one line in the table. */
import type { InterfaceConfig, TransportConfig } from '../config/config.js'
import { openSlirp } from '../slirp/transport.js'
import { openTap } from '../tap/transport.js'
import { openFd } from '../transports/fd/transport.js'
import { openStreamTransport } from '../transports/stream/open.js'
import type { OpenTransport, Transport, TransportContext } from '../transports/transport.js'
import { openUdp } from '../transports/udp/transport.js'
import { openUnixgram } from '../transports/unixgram/transport.js'
import { openVxlan } from '../transports/vxlan/transport.js'
import { openWebSocket } from '../transports/websocket/transport.js'
import { openVmnet } from '../vmnet/transport.js'
import { openAuto } from './auto.js'

/** What plugs into the switch, of any type. */
export type AnyConfig = TransportConfig | InterfaceConfig

type Openers = { readonly [Type in AnyConfig['type']]: OpenTransport<Extract<AnyConfig, { type: Type }>> }

const openers: Openers = {
  unixgram: openUnixgram,
  udp: openUdp,
  stream: openStreamTransport,
  fd: openFd,
  vxlan: openVxlan,
  websocket: openWebSocket,
  auto: openAuto,
  slirp: openSlirp,
  tap: openTap,
  vmnet: openVmnet,
}

/** Throws OperatorError when it cannot be opened; nothing is left behind then. */
export function openAttachment(config: AnyConfig, context: TransportContext): Promise<Transport> {
  const open = openers[config.type] as OpenTransport<AnyConfig>
  return open(config, context)
}
