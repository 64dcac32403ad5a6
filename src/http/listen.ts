/**
 * Where the HTTP server listens: a TCP address or a unix socket.
 *
 * A unix socket belongs to its owner alone (0600) from the moment it exists, and gets the permissions that were asked
 * for only then. A socket file that no process serves any more is replaced; one that is served, and anything that is
 * no socket, is left alone.
 */
import { once } from 'node:events'
import { chmod, chown, lstat, stat, unlink } from 'node:fs/promises'
import type { Server } from 'node:http'
import { Server as TlsServer } from 'node:https'
import { createConnection, isIP } from 'node:net'
import { dirname, isAbsolute } from 'node:path'
import { OperatorError } from '../errors.js'
import { isLoopback } from './guard.js'

export type ListenAddress = { path: string } | { host: string; port: number }

/** Bytes in a socket path, the NUL at its end left out: sun_path in <sys/un.h>. */
const MAX_PATH_BYTES = process.platform === 'darwin' ? 103 : 107

/** Reads `127.0.0.1:9676`, `[::1]:9676`, `localhost:9676` or an absolute path. Throws OperatorError. */
export function parseListen(listen: string): ListenAddress {
  if (isAbsolute(listen)) {
    const bytes = Buffer.byteLength(listen)
    if (bytes > MAX_PATH_BYTES) {
      throw refused(listen, `${listen} is ${bytes} bytes long, a socket path may have ${MAX_PATH_BYTES}`)
    }
    return { path: listen }
  }
  const parts = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(listen)
  const host = parts?.[1] ?? parts?.[2] ?? ''
  const port = Number(parts?.[3])
  if (host === '' || !(port <= 65_535) || (parts?.[1] !== undefined && isIP(host) !== 6)) {
    throw refused(listen, `"${listen}" is neither HOST:PORT, such as 127.0.0.1:9676, nor the absolute path of a socket`)
  }
  return { host: isIP(host) === 0 && isLoopback(host) ? '127.0.0.1' : host, port }
}

/** Whether other machines may reach it. */
export function isOffLoopback(address: ListenAddress): boolean {
  return 'host' in address && !isLoopback(address.host)
}

/** Starts to listen and says under which URL. Throws OperatorError when the address is not to be had. */
export async function listenOn(
  server: Server,
  address: ListenAddress,
  file: { permissions: number; owner: number | null; group: number | null },
): Promise<string> {
  if ('path' in address) await clearStale(address.path)
  try {
    const listening = once(server, 'listening')
    if ('path' in address) bindPrivately(server, address.path)
    else server.listen(address)
    await listening
    if ('path' in address) {
      if (file.owner !== null || file.group !== null) await chown(address.path, file.owner ?? -1, file.group ?? -1)
      await chmod(address.path, file.permissions)
    }
  } catch (error) {
    throw refused(where(address), explain(error as NodeJS.ErrnoException, where(address)), error)
  }
  const bound = server.address()
  if (bound === null || typeof bound === 'string') return `unix:${bound}`
  const scheme = server instanceof TlsServer ? 'https' : 'http'
  return `${scheme}://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`
}

/** bind(2) makes the file with the process's umask, and Node calls it before listen() returns. */
function bindPrivately(server: Server, path: string): void {
  const previous = process.umask(0o177)
  try {
    server.listen({ path })
  } finally {
    process.umask(previous)
  }
}

async function clearStale(path: string): Promise<void> {
  const directory = await stat(dirname(path)).catch(() => undefined)
  if (!directory?.isDirectory()) throw refused(path, `there is no directory ${dirname(path)}`)
  const file = await lstat(path).catch(() => undefined)
  if (file === undefined) return
  if (!file.isSocket()) throw refused(path, `${path} exists and is not a socket; remove it or choose another path`)
  if (await isServed(path)) throw refused(path, `another program is listening on ${path}`)
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    throw refused(path, `${path} is left over and cannot be removed: ${error.code}`, error)
  })
}

/**
 * Only ECONNREFUSED proves that no process holds the socket; EAGAIN (queue full) or EPROTOTYPE (datagrams) prove the
 * contrary.
 */
async function isServed(path: string): Promise<boolean> {
  const socket = createConnection({ path })
  try {
    await once(socket, 'connect')
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code !== 'ECONNREFUSED' && code !== 'ENOENT'
  } finally {
    socket.destroy()
  }
}

function where(address: ListenAddress): string {
  return 'path' in address ? address.path : `${address.host}:${address.port}`
}

function explain(error: NodeJS.ErrnoException, where: string): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `${where} is in use by another program; stop it or choose another address`
    case 'EACCES':
    case 'EPERM':
      return `not allowed to listen on ${where}`
    case 'EADDRNOTAVAIL':
      return `this machine has no address ${where}`
    default:
      return `cannot listen on ${where}: ${error.message}`
  }
}

function refused(value: string, message: string, cause?: unknown): OperatorError {
  return new OperatorError(message, { path: 'http.listen', value, cause })
}
