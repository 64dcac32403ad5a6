/**
 * The types of transport (the guests' side). A further one is a file in transports/ and a line in each of the three
 * lists here.
 */
import type { z } from 'zod'
import type { Scope } from './scope.js'
import { type FdConfig, fd } from './transports/fd.js'
import { type StreamConfig, stream } from './transports/stream.js'
import { type UdpConfig, udp } from './transports/udp.js'
import { type UnixgramConfig, unixgram } from './transports/unixgram.js'
import { type VxlanConfig, vxlan } from './transports/vxlan.js'
import { type WebSocketConfig, websocket } from './transports/websocket.js'

export const transportForms = [
  ...unixgram.forms,
  ...stream.forms,
  ...udp.forms,
  ...fd.forms,
  ...vxlan.forms,
  ...websocket.forms,
] as const

const types = { unixgram, stream, udp, fd, vxlan, websocket }

export type TransportConfig = UnixgramConfig | StreamConfig | UdpConfig | FdConfig | VxlanConfig | WebSocketConfig

export type TransportInput = z.output<(typeof transportForms)[number]>

/** `path` is where it is configured, e.g. `transports[0]`. */
export function resolveTransport(input: TransportInput, path: string, scope: Scope): TransportConfig {
  return types[input.type].resolve(input as never, path, scope)
}

/** What one would write in a file to get exactly this. */
export function effectiveTransport(config: TransportConfig): Record<string, unknown> {
  return types[config.type].effective(config as never)
}

/** Ports that it has from the start and for good. */
export function fixedTransportPorts(config: TransportConfig): number {
  return types[config.type].fixedPorts(config as never)
}

/** What only one can have at a time: paths, addresses, devices. */
export function transportClaims(config: TransportConfig): readonly string[] {
  return types[config.type].claims(config as never)
}
