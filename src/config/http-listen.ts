/** Where the HTTP server listens: `host:port`, or the path of a unix socket. */

export type HttpListen =
  /** `host` without brackets. */
  | { readonly type: 'tcp'; readonly host: string; readonly port: number }
  | { readonly type: 'unix'; readonly path: string }

/**
 * Takes the text of `http.listen` apart; a relative path stays relative. Returns undefined for text that is neither.
 * What has a slash or ends in ".sock" is a path, so that a forgotten port is not taken for a file name.
 */
export function parseHttpListen(text: string): HttpListen | undefined {
  if (text.includes('/') || text.endsWith('.sock')) return text.endsWith('/') ? undefined : { type: 'unix', path: text }
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z.-]+)):(\d{1,5})$/.exec(text)
  if (match === null || Number(match[3]) > 65_535) return undefined
  return { type: 'tcp', host: match[1] ?? match[2], port: Number(match[3]) }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
}
