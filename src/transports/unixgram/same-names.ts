/**
 * Socket paths that more than one datagram socket is bound to. QEMU removes the file at its local.path before it binds,
 * so the second VM with one path takes it from the first, whose frames still come from that name while nothing reaches
 * it any more. No call on the path tells; the kernel's list of sockets does (/proc/net/unix, Linux: net/unix/af_unix.c,
 * unix_seq_show).
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'

const LIST = '/proc/net/unix'
const DATAGRAM = '0002'
/** Sockets that are looked at; a machine with more is not told of what comes behind them. */
const MAX_LINES = 20_000
const MAX_NAMES = 16

export const canTellSameNames = process.platform === 'linux'

/** At most MAX_NAMES of them; none where the list cannot be read. Names of files only. */
export async function sameNames(): Promise<ReadonlySet<string>> {
  const seen = new Set<string>()
  const twice = new Set<string>()
  const input = createReadStream(LIST)
  const lines = createInterface({ input })
  let count = 0
  try {
    for await (const line of lines) {
      if (++count > MAX_LINES || twice.size === MAX_NAMES) break
      // Num RefCount Protocol Flags Type St Inode Path; a path may hold spaces.
      const [, type, path] = /^\S+ \S+ \S+ \S+ (\S+) \S+ +\S+ (\/.*)$/.exec(line) ?? []
      if (type !== DATAGRAM || path === undefined) continue
      if (seen.has(path)) twice.add(path)
      seen.add(path)
    }
  } catch {
    return new Set()
  } finally {
    input.destroy()
  }
  return twice
}
