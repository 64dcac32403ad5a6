/**
 * Answers a request that offers a protocol we do not speak, as if it had not offered it.
 *
 * Node.js stops parsing at such a request as soon as a server listens for 'upgrade', and has no way back before
 * `shouldUpgradeCallback` of Node.js 24.9. So the request's head is written anew, without the offer, and put back in
 * front of what the socket has still to read; the server then takes the socket as a new connection. The body, if there
 * is one, and further requests on the connection follow as they would have. An offer that is pipelined behind a request
 * without an answer ends the connection, because the new parser does not know the order of the answers.
 *
 * Each time, Node.js leaves listeners on the socket, and its count of requests begins anew. So after a few offers the
 * answer is the last one of its connection.
 */
import type { IncomingMessage, Server } from 'node:http'
import { Server as TlsServer } from 'node:https'
import type { Duplex } from 'node:stream'

/** Headers of one connection that belong to the offer (RFC 9110 section 7.8, RFC 7540 section 3.2.1). */
const offer = new Set(['upgrade', 'http2-settings'])

/** Arbitrary; clients that offer h2c at all do it with every request, and connect again. */
const MAX_OFFERS = 8

const offers = new WeakMap<Duplex, number>()

/** The one protocol that we speak. */
export const asksForWebSocket = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === 'websocket'

/** Returns whether the socket's requests have all been answered. */
export function watchAnswers(server: Server): (socket: Duplex) => boolean {
  const open = new WeakMap<Duplex, number>()
  server.on('request', ({ socket }, response) => {
    open.set(socket, (open.get(socket) ?? 0) + 1)
    response.once('close', () => open.set(socket, (open.get(socket) ?? 1) - 1))
  })
  return socket => (open.get(socket) ?? 0) === 0
}

export function answerWithoutUpgrade(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const count = (offers.get(socket) ?? 0) + 1
  offers.set(socket, count)
  socket.unshift(Buffer.concat([Buffer.from(headWithoutOffer(request, count >= MAX_OFFERS), 'latin1'), head]))
  server.emit(server instanceof TlsServer ? 'secureConnection' : 'connection', socket)
}

function headWithoutOffer({ method, url, httpVersion, rawHeaders }: IncomingMessage, isLast: boolean): string {
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const value = rawHeaders[i + 1] as string
    if (offer.has(name.toLowerCase())) continue
    const isConnection = name.toLowerCase() === 'connection'
    if (isConnection && isLast) continue
    const kept = isConnection ? withoutOffer(value) : value
    if (kept !== '') lines.push(`${name}: ${kept}`)
  }
  if (isLast) lines.push('Connection: close')
  return `${lines.join('\r\n')}\r\n\r\n`
}

function withoutOffer(connection: string): string {
  const kept = connection.split(',').filter(token => !offer.has(token.trim().toLowerCase()))
  return kept.join(',').trim()
}
