/**
 * A running switch, spoken to through its HTTP API, over TCP or a unix socket. What goes wrong is an OperatorError with
 * one sentence: no switch there, no or the wrong token, a request that was refused.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { OperatorError } from '../../errors.js'

/** Where the switch answers, and as whom to ask. */
export interface ApiTarget {
  /** For messages: `http://127.0.0.1:9676`, `unix:/run/tapswitch/http.sock`. */
  readonly url: string
  readonly token?: string | undefined
  /** PEM; of who signed the certificate of an https switch. */
  readonly ca?: string | undefined
}

/** Milliseconds; a switch that is busy answers within a few. */
const TIMEOUT_MS = 10_000
/** Bytes of an answer that is read whole. */
const MAX_ANSWER = 64 * 1024 * 1024

export class ApiClient {
  readonly #target: ApiTarget
  readonly #timeoutMs: number

  constructor(target: ApiTarget, timeoutMs = TIMEOUT_MS) {
    this.#target = target
    this.#timeoutMs = timeoutMs
  }

  get url(): string {
    return this.#target.url
  }

  /** The JSON answer; undefined where there is no content. */
  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await this.#request(method, path, body, this.#timeoutMs)
    const text = await textOf(response)
    if (response.statusCode === 204 || text === '') return undefined
    try {
      return JSON.parse(text)
    } catch {
      throw new OperatorError(`${this.url} does not answer in JSON: is it a tapswitch?`)
    }
  }

  get(path: string): Promise<unknown> {
    return this.call('GET', path)
  }

  /** An answer without an end, such as events or a capture. */
  stream(path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
    return this.#request('GET', path, undefined, 0, headers)
  }

  async #request(
    method: string,
    path: string,
    body: unknown,
    timeout: number,
    headers: Record<string, string> = {},
  ): Promise<IncomingMessage> {
    const { token, ca } = this.#target
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const { send, options } = this.#endpoint(path)
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = send({
        ...options,
        method,
        ...(ca === undefined ? {} : { ca }),
        headers: {
          ...headers,
          ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
      })
      if (timeout > 0) request.setTimeout(timeout, () => request.destroy(new Error(`no answer in ${timeout / 1000} s`)))
      request.on('response', resolve)
      request.on('error', reject)
      request.end(payload)
    }).catch((error: NodeJS.ErrnoException) => {
      throw unreachable(this.url, error)
    })
    if ((response.statusCode ?? 500) >= 400) throw refused(response.statusCode ?? 500, await textOf(response))
    return response
  }

  #endpoint(path: string): { send: typeof httpRequest; options: object } {
    const { url } = this.#target
    if (url.startsWith('unix:')) {
      return { send: httpRequest, options: { socketPath: url.slice('unix:'.length), path, host: 'localhost' } }
    }
    const { protocol, hostname, port, pathname } = new URL(url)
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    return {
      send: protocol === 'https:' ? (httpsRequest as typeof httpRequest) : httpRequest,
      options: { host, port, path: pathname.replace(/\/+$/, '') + path },
    }
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_ANSWER) throw new OperatorError(`an answer of more than ${MAX_ANSWER} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** What OpenSSL says of a certificate, with the way out. */
const UNKNOWN_SIGNER =
  'this machine does not trust who signed its certificate; name the file of that certificate, or of its signer, with --ca'
const certificateFaults = {
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_SIGNER,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_SIGNER,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_SIGNER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_SIGNER,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_SIGNER,
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name; use the name that the certificate has',
  CERT_HAS_EXPIRED: 'its certificate has expired',
}

function unreachable(url: string, error: NodeJS.ErrnoException): OperatorError {
  const why: Record<string, string> = {
    ECONNREFUSED: 'nothing listens there',
    ENOENT: 'there is no such socket',
    EACCES: 'this user may not use that socket',
    ENOTFOUND: 'there is no such host',
    ...certificateFaults,
  }
  const reason = why[error.code ?? ''] ?? error.message
  if (Object.hasOwn(certificateFaults, error.code ?? '')) {
    return new OperatorError(`the switch at ${url} is not trusted: ${reason}`, { cause: error })
  }
  return new OperatorError(
    `no switch answers at ${url}: ${reason}; start one with "tapswitch run", or say where it is with --url or --config`,
    { cause: error },
  )
}

/** The words of a problem document (RFC 9457), with every fault it lists. */
function refused(status: number, text: string): OperatorError {
  const { detail, errors } = problemIn(text)
  const hint =
    status === 401
      ? '; name the file that holds a token with --token-file, or the variable with TAPSWITCH_TOKEN_FILE'
      : ''
  const faults = errors.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
  const words = faults.length > 0 ? faults.join('\n') : (detail ?? `the switch answered with status ${status}`)
  return new OperatorError(words + hint)
}

function problemIn(text: string): { detail?: string; errors: { path: string; message: string }[] } {
  try {
    const { detail, errors = [] } = JSON.parse(text)
    return { detail, errors }
  } catch {
    return { errors: [] }
  }
}
