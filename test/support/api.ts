/** Requests to the API of a running switch, whatever their outcome. */
import { type Answer, ask } from '../unit/http/client.js'
import { controlTokenOf } from './control-tokens.js'

export interface Reply extends Answer {
  /** The JSON that came; undefined where nothing came. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any
}

export class Api {
  readonly #url: string
  readonly #headers: Record<string, string>

  /** Without a `token` it finds the control token of the switch, as the command line does; null: it shows none. */
  constructor(url: string, token: string | null | undefined = controlTokenOf(url)) {
    this.#url = url
    this.#headers = token === undefined || token === null ? {} : { authorization: `Bearer ${token}` }
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.send('GET', path, undefined, headers)
  }

  post(path: string, body?: unknown): Promise<Reply> {
    return this.send('POST', path, body)
  }

  patch(path: string, body: unknown): Promise<Reply> {
    return this.send('PATCH', path, body)
  }

  delete(path: string): Promise<Reply> {
    return this.send('DELETE', path)
  }

  async send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    const answer = await ask(this.#url, path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...this.#headers,
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { ...answer, json: /json/.test(answer.headers['content-type'] ?? '') ? JSON.parse(answer.body) : undefined }
  }
}
