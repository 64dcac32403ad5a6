/** Answers a request for an upgrade that is not granted, as a problem (RFC 9457), and closes the connection. */
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { CLOSE_MS } from './options.js'

export interface Refusal {
  readonly status: number
  /** Stable, for programs. */
  readonly code: string
  /** One sentence. */
  readonly detail: string
}

export function refuse(socket: Duplex, { status, code, detail }: Refusal): void {
  const title = STATUS_CODES[status] ?? 'Error'
  const body = JSON.stringify({ type: 'about:blank', title, status, code, detail })
  const extra = { 401: 'WWW-Authenticate: Bearer\r\n', 426: 'Upgrade: websocket\r\n' }[status] ?? ''
  socket.on('error', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\n${extra}Content-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
  // A client that does not close its side is not waited for.
  setTimeout(() => socket.destroy(), CLOSE_MS).unref()
}
