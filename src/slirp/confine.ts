/**
 * What the slirp process may still do. libslirp parses what guests send, in C; a guest that takes the process over must
 * not gain what the user of the switch has. Each step below stands by itself, because no kernel and no container has
 * all of them.
 *
 * Before libslirp is loaded (`confineFiles`, Linux with Landlock): the process may read the programs and libraries that
 * it is made of and /etc/resolv.conf, may make sockets in its own folder, and nothing else of the file system: no home,
 * no token, no TLS key. It cannot trace or signal other processes. Landlock binds one thread, so the process replaces
 * itself by itself once (os/sandbox/exec.ts).
 *
 * When everything is loaded, before the first frame of a guest (`confine`):
 * - limits: descriptors for its connections, no core dump;
 * - user: a switch that runs as root leaves this process to `process.user`, or to the user "nobody"; capabilities are
 *   dropped in every set. CAP_NET_BIND_SERVICE stays while a forward listens at a port below 1024, if the switch has it
 *   at that time;
 * - no other process of the same user may trace it; it dies with the switch;
 * - system calls: a list of what V8 and libslirp use. Measured with `strace -f -c` over DHCP, DNS, TCP both ways, UDP,
 *   ICMP, forwards and garbage collection. Sockets are of IPv4 and IPv6 only (and unix, while a forward listens at a
 *   unix socket: the filter cannot see what connect(2) is for). Files are opened for reading only. Node.js can live
 *   under that because nothing here uses its event loop: threads exist already. Calls that only an attack makes kill
 *   the process; others that are not listed fail with EPERM.
 *
 * macOS: descriptor limit, core limit and user only.
 */
import { readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { libc } from '../os/libc.js'
import {
  Capability,
  dropBoundingSet,
  hasCapability,
  keepCapabilities,
  keepCapabilitiesOverUserChange,
} from '../os/sandbox/capabilities.js'
import { replaceProcess } from '../os/sandbox/exec.js'
import { type FileRule, landlockVersion, restrictFiles } from '../os/sandbox/landlock.js'
import { setLimit } from '../os/sandbox/limits.js'
import { dieWithParent, forbidDumps, isLinux, setNoNewPrivileges } from '../os/sandbox/prctl.js'
import { type FilterOptions, installFilter } from '../os/sandbox/seccomp.js'
import { COMMANDS, LINKS, type Needs, STDERR } from './messages.js'

/** Arguments of the program. */
export const CONFINED = '--files-confined'
export const UNCONFINED = '--unconfined'

const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10
const SIGKILL = 9
/** O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, include/uapi/asm-generic/fcntl.h. */
const CHANGES = 0o1 | 0o2 | 0o100 | 0o1000
/** Besides connections: the process's own, listeners of forwards, one file for a moment. */
const OTHER_DESCRIPTORS = 256
const IGNORED_SIGNALS = { linux: [1, 2, 10, 15], darwin: [1, 2, 30, 15] } as const
const SIG_IGN = 1

/**
 * After libslirp was loaded once. Returns where Landlock is not there; else the program begins anew, with `CONFINED`.
 */
export function confineFiles(): void {
  if (landlockVersion() === 0) return
  restrictFiles({ rules: rules(), scoped: true })
  const error = replaceProcess({
    file: process.execPath,
    args: [...process.execArgv, fileURLToPath(import.meta.resolve('./child.js')), CONFINED],
    environment: process.env as Record<string, string>,
    descriptors: [0, 1, STDERR, COMMANDS, LINKS],
  })
  throw new Error(`execve ${process.execPath}: errno ${-error}`)
}

function rules(): FileRule[] {
  const read: FileRule['allow'] = ['read']
  const readable = (path: string): FileRule => ({ path, allow: read })
  const program = fileURLToPath(new URL('../..', import.meta.url))
  const own = [join(program, 'dist'), join(program, 'package.json'), packageFolder()]
  // glibc, Node.js, OpenSSL, libslirp: what is read while a program is loaded, and when it asks for a name.
  const system = ['/etc/ld.so.cache', '/etc/ssl/openssl.cnf', '/etc/localtime', '/dev/urandom', ...nameServerFiles()]
  const kernel = ['/proc/self', '/proc/meminfo', '/proc/version_signature', '/sys/fs/cgroup', '/sys/devices/system/cpu']
  return [
    ...[...own, ...system, ...kernel].map(readable),
    ...[...mappedFolders(), process.execPath].map((path): FileRule => ({ path, allow: ['read', 'execute'] })),
    { path: '/dev/null', allow: ['read', 'write'] },
    { path: '.', allow: ['read', 'sockets'] },
  ]
}

/** The folder of the packages that the program imports; package managers link to it from elsewhere. */
function packageFolder(): string {
  const file = realpathSync(fileURLToPath(import.meta.resolve('koffi')))
  return file.slice(0, file.lastIndexOf('/node_modules/') + '/node_modules'.length)
}

/**
 * The file, and the folder it really lies in, so that a successor is found when it is replaced. /etc itself has too
 * much in it: when the file there is replaced, the switch starts the process anew (see watch.ts).
 */
function nameServerFiles(): string[] {
  try {
    const folder = dirname(realpathSync('/etc/resolv.conf'))
    return ['/etc/resolv.conf', ...(folder === '/etc' ? [] : [folder])]
  } catch {
    return []
  }
}

/** The folders of all libraries that this process has loaded. */
function mappedFolders(): string[] {
  const paths = readFileSync('/proc/self/maps', 'utf8').matchAll(/^\S+ ..x. .* (\/.+)$/gm)
  return [...new Set([...paths].map(([, path]) => dirname(path as string)))]
}

export interface Confinement {
  readonly maxConnections: number
  readonly account: { readonly uid: number; readonly gid: number } | null
  readonly needs: Needs
}

/** For all threads. Returns what was taken on, and how many descriptors the process may have. */
export function confine({ maxConnections, account, needs }: Confinement): { sandbox: string; descriptors: number } {
  const measures: string[] = []
  setLimit('core', 0)
  // Connections that come in through forwards have as many again.
  const descriptors = setLimit('descriptors', 2 * maxConnections + OTHER_DESCRIPTORS)
  process.umask(0o177)
  ignoreSignals()
  const keepsPorts = needs.lowPorts && hasCapability(Capability.netBindService)
  if (keepsPorts) keepCapabilitiesOverUserChange()
  const kept = keepsPorts ? [Capability.netBindService] : []
  dropBoundingSet(kept)
  if (account !== null) becomeUser(account.uid, account.gid)
  keepCapabilities(kept)
  if (isLinux) {
    if (process.argv.includes(CONFINED)) measures.push('landlock')
    forbidDumps()
    dieWithParent(SIGKILL)
    if (setNoNewPrivileges()) measures.push('no-new-privs')
    if (!process.argv.includes(UNCONFINED) && installFilter(filter(needs))) measures.push('seccomp')
  }
  measures.push(`user ${process.getuid?.()}`)
  if (keepsPorts) measures.push('cap-net-bind-service')
  return { sandbox: measures.join(', '), descriptors }
}

/**
 * Ctrl-C and a service manager's SIGTERM reach every process of the group; this one ends when the switch says so, or is
 * gone.
 */
function ignoreSignals(): void {
  const signal = libc.func('uintptr_t signal(int number, uintptr_t handler)')
  for (const number of IGNORED_SIGNALS[isLinux ? 'linux' : 'darwin']) signal(number, SIG_IGN)
}

/** In a container where there is no other user, root stays, with no capability. */
function becomeUser(uid: number, gid: number): void {
  try {
    process.setgroups?.([])
    process.setgid?.(gid)
    process.setuid?.(uid)
  } catch (error) {
    if (!['EINVAL', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

function filter({ unixSockets }: Needs): FilterOptions {
  const families = [AF_INET, AF_INET6, ...(unixSockets ? [AF_UNIX] : [])]
  return {
    allow: [
      // A turn of the loop.
      ...(['poll', 'ppoll', 'read', 'write', 'recvfrom', 'sendto', 'recvmsg', 'sendmsg', 'ioctl'] as const),
      // libslirp's sockets.
      { call: 'socket', when: { argument: 0, isOneOf: families } },
      ...(['connect', 'accept', 'accept4', 'bind', 'listen', 'shutdown', 'close'] as const),
      ...(['getsockopt', 'setsockopt', 'getsockname', 'getpeername', 'fcntl', 'readv', 'writev'] as const),
      // libslirp looks at /etc/resolv.conf.
      { call: 'openat', when: { argument: 2, hasNoneOf: CHANGES } },
      { call: 'open', when: { argument: 1, hasNoneOf: CHANGES } },
      ...(['fstat', 'newfstatat', 'stat', 'lstat', 'statx', 'lseek', 'readlink', 'readlinkat', 'pread64'] as const),
      // V8: memory, its threads, time.
      ...(['futex', 'madvise', 'mmap', 'munmap', 'mprotect', 'pkey_mprotect', 'mremap', 'brk', 'sched_yield'] as const),
      ...(['clock_gettime', 'clock_getres', 'clock_nanosleep', 'nanosleep', 'gettimeofday', 'getrandom'] as const),
      ...(['getpid', 'gettid', 'getuid', 'geteuid', 'getgid', 'getegid', 'getrusage', 'getcpu', 'sysinfo'] as const),
      ...(['membarrier', 'sched_getaffinity', 'rseq', 'restart_syscall'] as const),
      ...(['rt_sigaction', 'rt_sigprocmask', 'rt_sigreturn', 'sigaltstack'] as const),
      // Node.js at its end; abort(3), on this process only.
      ...(['epoll_ctl', 'epoll_wait', 'epoll_pwait', 'fsync', 'fdatasync', 'exit', 'exit_group'] as const),
      { call: 'tgkill', when: { argument: 0, isOneOf: [process.pid] } },
    ],
    kill: [
      ...(['execve', 'execveat', 'fork', 'vfork', 'ptrace', 'process_vm_readv', 'process_vm_writev'] as const),
      ...([
        'mount',
        'umount2',
        'move_mount',
        'open_tree',
        'fsopen',
        'pivot_root',
        'chroot',
        'unshare',
        'setns',
      ] as const),
      ...(['bpf', 'perf_event_open', 'userfaultfd', 'io_uring_setup', 'pidfd_getfd', 'open_by_handle_at'] as const),
      ...(['init_module', 'finit_module', 'delete_module', 'kexec_load', 'kexec_file_load', 'reboot'] as const),
      ...(['keyctl', 'add_key', 'request_key', 'setuid', 'setgid', 'setresuid', 'setresgid', 'setgroups'] as const),
      ...(['capset', 'iopl', 'ioperm'] as const),
    ],
  }
}
