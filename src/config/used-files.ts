/**
 * The files that transports, interfaces and the HTTP server use, as their options name them. The sandbox is made of
 * them, and what is added later is compared with it.
 */
import type { Config, InterfaceConfig, TransportConfig } from './config.js'
import { type Forward, parseForwardEnd } from './forwards.js'
import type { SecretSource } from './secret.js'

export interface UsedFile {
  /** Absolute. */
  readonly path: string
  /** A socket file that is made and removed, a file that is read; or a folder of such. */
  readonly use: 'socket' | 'file' | 'folder of sockets' | 'folder of files'
}

/** Of what plugs into the switch. */
export function usedBy(config: TransportConfig | InterfaceConfig): UsedFile[] {
  switch (config.type) {
    case 'unixgram':
      return sockets(config.role === 'connect' ? config.connect.local : config.listen)
    case 'stream':
      return config.role === 'listen' ? sockets(config.listen) : []
    case 'websocket':
      return [
        ...(config.role === 'listen' ? pemFiles(config.tls) : files(config.ca)),
        ...(config.token === null ? [] : secretFiles(config.token)),
      ]
    case 'slirp':
    case 'auto':
      return config.forwards.flatMap(usedByForward)
    default:
      return []
  }
}

export function usedByForward({ host }: Pick<Forward, 'host'>): UsedFile[] {
  const end = parseForwardEnd(host)
  return end?.family === 'unix' ? sockets(end.path) : []
}

/** Of the HTTP server, and of what may come over the API. */
export function usedByHttp({ http }: Config): UsedFile[] {
  if (http === false) return []
  const { listen, tls, tokens, allowedPaths, secretsDir } = http
  return [
    ...sockets(listen),
    ...pemFiles(tls),
    ...tokens.flatMap(({ token }) => secretFiles(token)),
    ...allowedPaths.flatMap((path): UsedFile[] => [
      { path, use: 'folder of sockets' },
      { path, use: 'folder of files' },
    ]),
    ...(secretsDir === null ? [] : [{ path: secretsDir, use: 'folder of files' } as const]),
  ]
}

/** An address is a socket file where it is a path. */
const sockets = (address: string): UsedFile[] => (address.startsWith('/') ? [{ path: address, use: 'socket' }] : [])

const files = (...paths: (string | null)[]): UsedFile[] =>
  paths.flatMap(path => (path === null ? [] : [{ path, use: 'file' as const }]))

const pemFiles = (tls: { readonly certificate: string; readonly key: string } | null): UsedFile[] =>
  tls === null ? [] : files(tls.certificate, tls.key)

const secretFiles = (secret: SecretSource): UsedFile[] => ('file' in secret ? files(secret.file) : [])
