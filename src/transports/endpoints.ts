/** From the kind of a transport to the data plane's half of it. */
import type { Endpoint, EndpointHost } from '../dataplane/endpoint.js'
import type { EndpointSpec } from '../dataplane/messages.js'
import { ManyPeersEndpoint } from './unixgram/many-peers.js'
import { OnePeerEndpoint } from './unixgram/one-peer.js'
import { UNIXGRAM, type UnixgramOptions } from './unixgram/options.js'

export function createEndpoint(spec: EndpointSpec, host: EndpointHost): Endpoint {
  if (spec.kind !== UNIXGRAM) throw new Error(`no endpoint of kind ${spec.kind}`)
  return (spec.options as UnixgramOptions).mode === 'many'
    ? new ManyPeersEndpoint(spec, host)
    : new OnePeerEndpoint(spec, host)
}
