/**
 * Sockets that systemd opened for us (socket activation): descriptors from 3 on, as many as LISTEN_FDS says, named by
 * LISTEN_FDNAMES, meant for the process LISTEN_PID. See sd_listen_fds(3), whose rules these are:
 *
 * - Not our process id: they are somebody else's, and nothing is taken.
 * - No names: each is called `unknown`. Fewer or more names than descriptors is an error there; here what has no name
 *   is `unknown`.
 * - The variables are removed, so that no child of ours takes them for its own; the descriptors are closed in children.
 */
import type { Layout } from './layout.js'
import { nonBlocking } from './libc.js'

const FIRST = 3
/** More than any unit would pass. */
const MOST = 1024

/** Takes the variables out of `env` and returns what they say. */
export function takeActivation(env: NodeJS.ProcessEnv, pid: number): Map<string, number[]> {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = env
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']) delete env[name]
  const sockets = new Map<string, number[]>()
  if (LISTEN_PID !== String(pid) || !/^\d{1,4}$/.test(LISTEN_FDS ?? '')) return sockets
  const names = LISTEN_FDNAMES?.split(':') ?? []
  for (let i = 0; i < Math.min(Number(LISTEN_FDS), MOST); i++) {
    const name = names[i] || 'unknown'
    sockets.set(name, [...(sockets.get(name) ?? []), FIRST + i])
  }
  return sockets
}

let taken: ReadonlyMap<string, readonly number[]> | undefined

/** Those of this process, taken once; they stay open as long as it runs. */
export function inheritedSockets(layout: Layout): ReadonlyMap<string, readonly number[]> {
  if (taken === undefined) {
    taken = takeActivation(process.env, process.pid)
    for (const fds of taken.values()) for (const fd of fds) nonBlocking(fd, layout.constants.O_NONBLOCK)
  }
  return taken
}
