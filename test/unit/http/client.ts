/** A client that sends exactly the headers it is told to, over TCP or a unix socket. */
import { once } from 'node:events'
import { type IncomingHttpHeaders, request } from 'node:http'
import { createConnection } from 'node:net'
import { text } from 'node:stream/consumers'

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

interface Asked {
  method?: string
  headers?: Record<string, string>
  body?: string
}

/** `url` as HttpServer has it. */
export async function ask(
  url: string,
  path: string,
  { method = 'GET', headers = {}, body }: Asked = {},
): Promise<Answer> {
  const where = url.startsWith('unix:') ? { socketPath: url.slice(5) } : { ...address(url) }
  const sent = request({ ...where, path, method, headers, agent: false, timeout: 5000 })
  sent.on('timeout', () => sent.destroy(new Error(`no answer from ${path}`)))
  sent.end(body)
  const [response] = await once(sent, 'response')
  return { status: response.statusCode, headers: response.headers, body: await text(response) }
}

/** Sends raw bytes and returns all that comes back until the server closes. */
export async function askRaw(url: string, bytes: string): Promise<string> {
  const socket = createConnection({ ...address(url), timeout: 5000 })
  socket.on('timeout', () => socket.destroy(new Error('the server does not close')))
  socket.write(bytes)
  return text(socket)
}

function address(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) }
}
