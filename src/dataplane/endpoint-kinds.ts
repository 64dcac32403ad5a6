/**
 * From the kind of a transport or interface to the data plane's half of it. With worker.ts the only file of this folder
 * that knows them; a further kind is one line in the table.
 */
import { TapEndpoint } from '../tap/endpoint.js'
import { TAP } from '../tap/options.js'
import { ConnectedDatagramsEndpoint } from '../transports/fd/connected-datagrams.js'
import { CONNECTED_DATAGRAMS } from '../transports/fd/options.js'
import { StreamEndpoint } from '../transports/stream/endpoint.js'
import { STREAM } from '../transports/stream/options.js'
import { UdpGroupEndpoint } from '../transports/udp/group-endpoint.js'
import { UDP, type UdpOptions } from '../transports/udp/options.js'
import { UdpPeersEndpoint } from '../transports/udp/peers-endpoint.js'
import { ManyPeersEndpoint } from '../transports/unixgram/many-peers.js'
import { OnePeerEndpoint } from '../transports/unixgram/one-peer.js'
import { UNIXGRAM, type UnixgramOptions } from '../transports/unixgram/options.js'
import { VxlanEndpoint } from '../transports/vxlan/endpoint.js'
import { VXLAN } from '../transports/vxlan/options.js'
import { VmnetEndpoint } from '../vmnet/endpoint.js'
import { VMNET } from '../vmnet/endpoint-options.js'
import type { Endpoint, EndpointHost } from './endpoint.js'
import type { EndpointSpec } from './messages.js'

type CreateEndpoint = (spec: EndpointSpec, host: EndpointHost) => Endpoint

const kinds: Readonly<Record<string, CreateEndpoint>> = {
  [STREAM]: (spec, host) => new StreamEndpoint(spec, host),
  [CONNECTED_DATAGRAMS]: (spec, host) => new ConnectedDatagramsEndpoint(spec, host),
  [UNIXGRAM]: (spec, host) =>
    (spec.options as UnixgramOptions).mode === 'many'
      ? new ManyPeersEndpoint(spec, host)
      : new OnePeerEndpoint(spec, host),
  [VXLAN]: (spec, host) => new VxlanEndpoint(spec, host),
  [TAP]: (spec, host) => new TapEndpoint(spec, host),
  [UDP]: (spec, host) =>
    (spec.options as UdpOptions).mode === 'group' ? new UdpGroupEndpoint(spec, host) : new UdpPeersEndpoint(spec, host),
  [VMNET]: (spec, host) => new VmnetEndpoint(spec, host),
}

export function createEndpoint(spec: EndpointSpec, host: EndpointHost): Endpoint {
  const create = kinds[spec.kind]
  if (create === undefined) throw new Error(`no endpoint of kind ${spec.kind}`)
  return create(spec, host)
}
