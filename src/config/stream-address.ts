/** Where a stream listens or goes to: the path of a unix socket, `host:port`, or a socket that systemd made. */
import { z } from 'zod'
import { allow } from './fields.js'
import { parseHttpListen } from './http-listen.js'

export type StreamAddress =
  | { readonly type: 'unix'; readonly path: string }
  /** `host` without brackets: an address or a name. */
  | { readonly type: 'tcp'; readonly host: string; readonly port: number }
  /** By the name in the socket unit (FileDescriptorName=). */
  | { readonly type: 'systemd'; readonly name: string }

const SYSTEMD = /^systemd:([^\s:]{1,255})$/

/** A relative path stays relative. Undefined for text that is none of these. */
export function parseStreamAddress(text: string): StreamAddress | undefined {
  const match = SYSTEMD.exec(text)
  return match === null ? parseHttpListen(text) : { type: 'systemd', name: match[1] }
}

export const formatTcp = (host: string, port: number) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)

export const listenAddress = () =>
  allow(
    'the path of a unix socket (with a "/", or ending in ".sock"), host:port, or systemd:NAME',
    z.string().refine(text => parseStreamAddress(text) !== undefined),
  )

export const remoteAddress = () =>
  allow(
    'the path of a unix socket (with a "/", or ending in ".sock") or host:port',
    z.string().refine(text => {
      const address = parseStreamAddress(text)
      return address?.type === 'unix' || (address?.type === 'tcp' && address.port > 0)
    }),
  )
