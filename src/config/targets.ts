/** `http.allowedTargets`: addresses off loopback that the API may have dialled, sent to and listened on. */
import { type IpPrefix, inIpPrefix, parseIp, parseIpPrefix } from '../wire/ip-prefix.js'

export interface AllowedTarget {
  /** Lower case; a name, where `prefix` is null. */
  readonly host: string
  readonly prefix: IpPrefix | null
  /** Null: any. */
  readonly port: number | null
}

/**
 * Reads `10.0.0.2`, `10.0.0.0/24:4789`, `[2001:db8::/32]:443`, `switch.example:443`; undefined for what is none of
 * these.
 */
export function parseAllowedTarget(text: string): AllowedTarget | undefined {
  const whole = parseIpPrefix(text)
  if (whole !== undefined) return { host: text, prefix: whole, port: null }
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text)
  if (match === null) return undefined
  const host = (match[1] ?? match[2] ?? '').toLowerCase()
  const port = match[3] === undefined ? null : Number(match[3])
  if (port !== null && (port === 0 || port > 65_535)) return undefined
  const prefix = parseIpPrefix(host)
  if (prefix !== undefined) return { host, prefix, port }
  const isName =
    match[1] === undefined && /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/.test(host) && /[a-z]/.test(host)
  return isName ? { host, prefix: null, port } : undefined
}

/** `host` is an address without brackets, or a name, which is compared and not looked up. `port` null: not known. */
export function allowsTarget(allowed: readonly AllowedTarget[], host: string, port: number | null): boolean {
  const address = parseIp(host)
  return allowed.some(target => {
    if (target.port !== null && target.port !== port) return false
    if (target.prefix === null) return target.host === host.toLowerCase().replace(/\.$/, '')
    return address !== undefined && address.length === target.prefix.bytes.length && inIpPrefix(target.prefix, address)
  })
}

/** Whether all of a prefix is allowed, on every port. */
export function allowsPrefix(allowed: readonly AllowedTarget[], { bytes, length }: IpPrefix): boolean {
  return allowed.some(
    ({ prefix, port }) =>
      port === null &&
      prefix !== null &&
      prefix.bytes.length === bytes.length &&
      prefix.length <= length &&
      inIpPrefix(prefix, bytes),
  )
}
