/** What a line of dnsmasq, or of its supervisor, means. */
export type DnsmasqLine =
  /** It serves. */
  | { readonly kind: 'started' }
  /** It ended, and is started again. */
  | { readonly kind: 'ended'; readonly status: number; readonly inMs: number }
  /** A guest asked for an address, and all are given out. */
  | { readonly kind: 'pool-full' }
  /** It has no server to pass questions on to. */
  | { readonly kind: 'no-name-servers' }
  | { readonly kind: 'name-servers' }
  /** Said at each start. */
  | { readonly kind: 'routine' }
  | { readonly kind: 'problem'; readonly text: string }

const ENDED = /^supervisor: ended with status (\d+), again in (\d+) s$/
const ROUTINE =
  /^(compile time options|read |reading |using nameserver|using only|exiting on|DHCP, |DNS service|cleared cache|[A-Z]+, sockets bound)/

/** `text` may have dnsmasq's name and pid in front. */
export function readLine(text: string): DnsmasqLine {
  const ended = ENDED.exec(text)
  if (ended !== null) return { kind: 'ended', status: Number(ended[1]), inMs: Number(ended[2]) * 1000 }
  const said = text.replace(/^dnsmasq(?:-\w+)?(?:\[\d+\])?: /, '')
  if (said.startsWith('started, version')) return { kind: 'started' }
  if (/no address (range )?available/.test(said)) return { kind: 'pool-full' }
  if (/^(no servers found in|failed to (read|access|open) .*resolv)/.test(said)) return { kind: 'no-name-servers' }
  if (said.startsWith('using nameserver')) return { kind: 'name-servers' }
  return ROUTINE.test(said) || said === '' ? { kind: 'routine' } : { kind: 'problem', text: said }
}
