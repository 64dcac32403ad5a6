/**
 * Network namespaces by name, as `ip netns` keeps them: a file in /run/netns for each.
 *
 * setns(2) moves only the thread that calls it, and what is opened there stays there: a TAP's descriptor, a socket for
 * ioctls, the files of /proc/sys/net, and a child, which inherits the namespace of the thread that forks. So nothing of
 * ours has to live in the namespace: the main thread goes there, does something that does not yield, and comes back
 * before anything else can run on it. A worker thread would do the same with more parts; one that ends badly would also
 * end in the wrong place. Threads made meanwhile would inherit the namespace, but only the main thread makes threads
 * here, and not in between.
 *
 * A main thread that could not come back would open sockets in somebody else's network, so the process ends instead.
 * The kernel asks the same privilege for both ways (CAP_SYS_ADMIN), so this does not happen to a process that was let
 * in.
 */
import { closeSync, openSync, statSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { OperatorError } from '../errors.js'
import { errno, libc } from '../os/libc.js'

/** Where iproute2 keeps them; /var/run is a link to /run. */
const FOLDER = '/run/netns'
const OWN = '/proc/thread-self/ns/net'
const CLONE_NEWNET = 0x40000000

const setns = libc.func('int setns(int fd, int type)') as unknown as (fd: number, type: number) => number

/**
 * Runs `task`, which must not be asynchronous, in the namespace of this name; null: where we are. Throws OperatorError.
 */
export function inNamespace<Result>(name: string | null, task: () => Result): Result {
  if (name === null) return task()
  const theirs = openNamespace(name)
  const ours = openSync(OWN, 'r')
  try {
    if (setns(theirs, CLONE_NEWNET) !== 0) throw refused(name, errno())
    try {
      return task()
    } finally {
      if (setns(ours, CLONE_NEWNET) !== 0) process.abort()
    }
  } finally {
    closeSync(ours)
    closeSync(theirs)
  }
}

/**
 * What tells one namespace from another, also from a later one of the same name: the inode of its file. Undefined when
 * there is none of this name.
 */
export function namespaceIdentity(name: string | null): string | undefined {
  try {
    const { ino } = statSync(name === null ? OWN : `${FOLDER}/${name}`, { bigint: true })
    return ino.toString()
  } catch {
    return undefined
  }
}

function openNamespace(name: string): number {
  try {
    return openSync(`${FOLDER}/${name}`, 'r')
  } catch (error) {
    throw new OperatorError(
      `"${name}" is not a network namespace of this machine; make it with: ip netns add ${name}`,
      {
        path: 'netns',
        value: name,
        cause: error,
      },
    )
  }
}

function refused(name: string, error: number): OperatorError {
  const why = error === 1 ? 'that needs root (CAP_SYS_ADMIN)' : getSystemErrorName(-error)
  return new OperatorError(`"${name}" cannot be entered: ${why}`, { path: 'netns', value: name })
}
