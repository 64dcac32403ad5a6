/** The configuration in force, in the form of the file: what one would write to get exactly this. */
import type { Config, TransportConfig } from '../config/config.js'

/** Plain data, ready for JSON. */
export function effectiveConfig(config: Config): Record<string, unknown> {
  const { file: _file, transports, ...rest } = config
  return { ...rest, transports: transports.map(effectiveTransport) }
}

function effectiveTransport(transport: TransportConfig): Record<string, unknown> {
  const { role: _role, permissions, owner, group, port, ...rest } = transport
  const { maxPeers, handshake, ...shape } = rest as Record<string, unknown>
  return {
    ...shape,
    ...(transport.role === 'listen' && transport.peers === 'many' ? { maxPeers } : {}),
    ...(typeof handshake === 'string' ? { handshake } : {}),
    permissions: permissions.toString(8).padStart(4, '0'),
    ...(owner === null ? {} : { owner }),
    ...(group === null ? {} : { group }),
    port: hasOnePort(transport) ? port : { ...port, fdb: { maxEntries: port.fdb.maxEntries } },
  }
}

function hasOnePort(transport: TransportConfig): boolean {
  return transport.role === 'connect' || transport.peers === 'one'
}
