/**
 * What of a valid configuration this machine does not have: secrets and certificates that cannot be read, an address of
 * the HTTP server that another program has. `check` asks, so that an operator learns of it before the switch is
 * restarted; nothing is changed, and the address is given back at once.
 */
import { once } from 'node:events'
import { get } from 'node:http'
import { createServer } from 'node:net'
import type { Config } from '../config/config.js'
import type { SecretSource } from '../config/secret.js'
import { OperatorError, type Problem } from '../errors.js'
import { isOffLoopback, parseListen } from '../http/listen.js'
import { readSecret } from '../secret.js'
import { readPem, readTlsFiles, type TlsFiles } from '../tls-files.js'

/** Milliseconds for the program that has the address to answer a probe; arbitrary. */
const PROBE_MS = 1000

export async function startProblems({ http, transports }: Config): Promise<Problem[]> {
  const problems: Problem[] = []
  const attempt = (path: string, read: () => unknown) => {
    try {
      read()
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error
      problems.push({ path, message: error.message.replace(`${error.path}: `, '') })
    }
  }
  const secret = (path: string, source: SecretSource | null | undefined) => {
    if (source) attempt(path, () => readSecret(source, path))
  }
  const tls = (path: string, files: TlsFiles | null | undefined) => {
    if (files) attempt(path, () => readTlsFiles(files, path))
  }
  if (http !== false) {
    for (const [i, { name, token }] of http.tokens.entries()) {
      secret(name === 'token' ? 'http.token' : `http.tokens[${i}].token`, token)
    }
    tls('http.tls', http.tls)
    const taken = await takenAddress(http.listen)
    if (taken !== undefined) problems.push({ path: 'http.listen', message: taken })
  }
  for (const [i, transport] of transports.entries()) {
    if (transport.type !== 'websocket') continue
    secret(`transports[${i}].token`, transport.token)
    if (transport.role === 'listen') tls(`transports[${i}].tls`, transport.tls)
    else if (transport.ca !== null)
      attempt(`transports[${i}].ca`, () => readPem(transport.ca as string, `transports[${i}].ca`))
  }
  return problems
}

/** Undefined when the address is free, or when a switch answers there: the one that is to read this file. */
async function takenAddress(listen: string): Promise<string | undefined> {
  const address = parseListen(listen)
  // A socket's path is looked at by the start itself, which leaves one that is served alone.
  if ('path' in address || address.port === 0) return undefined
  const server = createServer()
  try {
    server.listen(address)
    await once(server, 'listening')
    return undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EADDRNOTAVAIL') return `this machine has no address ${listen}`
    if (code === 'EACCES') return `${listen} may not be listened on by this user`
    if (code !== 'EADDRINUSE') return `${listen} cannot be listened on: ${(error as Error).message}`
    if (!isOffLoopback(address) && (await isSwitch(address))) return undefined
    return `${listen} is in use by another program; stop it or choose another address`
  } finally {
    server.close()
  }
}

async function isSwitch({ host, port }: { host: string; port: number }): Promise<boolean> {
  return new Promise(resolve => {
    const request = get({ host, port, path: '/healthz', timeout: PROBE_MS, agent: false }, response => {
      response.resume()
      resolve(response.headers['cross-origin-resource-policy'] === 'same-origin')
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(false))
  })
}
