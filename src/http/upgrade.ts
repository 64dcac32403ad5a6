/**
 * Requests for another protocol on the HTTP listener. Node hands them over as a bare socket, past the router and its
 * hooks, so what those check is checked here again, by the same functions: Host, Origin, then the token, before the
 * route gets the socket. What is refused is answered as a problem and closed. An offer of a protocol other than
 * WebSocket is no request for it (RFC 9110 section 7.8): `curl --http2` and Java's HttpClient offer h2c with every
 * request, and get their answer in HTTP/1.1.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Logger } from '../log.js'
import type { UpgradeRoutes } from '../upgrade-routes.js'
import { type AccessControl, presentedToken } from './access.js'
import { type Door, refusal } from './guard.js'
import { answerWithoutUpgrade, asksForWebSocket, watchAnswers } from './ignored-upgrade.js'
import { HttpProblem, sendOnSocket } from './problem.js'

interface UpgradeParts {
  routes: UpgradeRoutes
  door: () => Door
  access: AccessControl
  log: Logger
}

/** Returns what closes the connections that were handed over. */
export function serveUpgrades(server: Server, { routes, door, access, log }: UpgradeParts): () => void {
  const open = new Set<Duplex>()
  const isAnswered = watchAnswers(server)

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (!asksForWebSocket(request)) {
      if (isAnswered(socket)) answerWithoutUpgrade(server, request, socket, head)
      else socket.destroy()
      return
    }
    socket.on('error', () => socket.destroy())
    try {
      const route = routes.find(pathOf(request))
      const refused = refusal(request, door(), route?.allowedOrigins)
      if (refused !== undefined) throw new HttpProblem(refused.status, refused.code, refused.detail)
      const needed = route === undefined ? 'read' : route.access === 'own' ? 'open' : route.access
      access.authorize(access.identify(request, needed), needed)
      if (route === undefined) throw new HttpProblem(404, 'not-found', 'Nothing here speaks another protocol.')
      const address = request.socket.remoteAddress ?? ''
      if (route.access === 'own' && access.mustWait(address)) {
        throw new HttpProblem(429, 'too-many-failures', 'Too many wrong tokens came from this address.')
      }
      open.add(socket)
      socket.once('close', () => open.delete(socket))
      route.handle(request, socket, head, {
        address,
        token: presentedToken(request),
        refused: () => access.refused(address, 'unknown'),
      })
    } catch (error) {
      if (error instanceof HttpProblem) return sendOnSocket(error, socket)
      log.error({ err: error, path: pathOf(request) }, 'an upgrade failed inside')
      socket.destroy()
    }
  })

  return () => {
    routes.closing()
    for (const socket of open) socket.destroy()
  }
}

function pathOf({ url = '' }: IncomingMessage): string {
  const query = url.indexOf('?')
  const path = query < 0 ? url : url.slice(0, query)
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}
