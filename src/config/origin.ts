/**
 * Hosts and origins in one spelling, so that two spellings of the same thing compare as equal: lower case, without the
 * port that the scheme implies (RFC 6454 section 4) and without the trailing dot of an absolute name (RFC 1034 section
 * 3.1).
 */

export type Scheme = 'http' | 'https'

const defaultPort = { http: '80', https: '443' } as const

export interface Host {
  /** A name, or an IP address without brackets. */
  readonly name: string
  /** The same in an origin: an IPv6 address in brackets, and the port unless the scheme implies it. */
  readonly authority: string
}

/** Reads a Host header such as `[::1]:9676` or `Example.COM.:443`; undefined for what no client may send. */
export function parseHost(header: string, scheme: Scheme): Host | undefined {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*))(?::(\d{1,5}))?$/i.exec(header)
  if (parts === null) return undefined
  const [, address, text = '', port] = parts
  const name = (address ?? (text.length > 1 ? text.replace(/\.$/, '') : text)).toLowerCase()
  const host = address === undefined ? name : `[${name}]`
  return { name, authority: port === undefined || port === defaultPort[scheme] ? host : `${host}:${port}` }
}

/** Origins that are no web site (`null`, `file://`) come back in lower case. */
export function normalOrigin(origin: string): string {
  const text = origin.toLowerCase()
  const parts = /^(https?):\/\/(.+)$/.exec(text)
  if (parts === null) return text
  const scheme = parts[1] as Scheme
  const host = parseHost(parts[2] as string, scheme)
  return host === undefined ? text : `${scheme}://${host.authority}`
}
