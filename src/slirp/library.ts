/**
 * libslirp, found and bound. It is the user-mode network of QEMU, podman and others: TCP/IP towards the guests, plain
 * sockets towards the host, so it needs no privilege.
 *
 * The library is not ours to bring: every distribution has it, QEMU depends on it. Its interface grew by versions of
 * one structure, `SlirpConfig`; the newest one that both the library and this file know is used, at most 4. Pointers
 * are numbers, as everywhere (see os/native-memory.ts).
 */
import koffi from 'koffi'
import { OperatorError } from '../errors.js'

/**
 * Each name the dynamic linker is asked for, in this order. Homebrew's folders are not among those it searches itself.
 */
const fileNames: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: ['libslirp.so.0'],
  darwin: [
    'libslirp.0.dylib',
    '/opt/homebrew/lib/libslirp.0.dylib',
    '/usr/local/lib/libslirp.0.dylib',
    '/opt/local/lib/libslirp.0.dylib',
  ],
}

export const slirpPackages =
  'Debian and Ubuntu: apt install libslirp0, Fedora: dnf install libslirp, macOS: brew install libslirp'

/** What of `SlirpConfig` each release knows: libslirp's CHANGELOG.md, and src/libslirp.h at each tag. */
const configVersions: readonly { since: readonly [number, number]; version: number }[] = [
  { since: [4, 7], version: 4 },
  { since: [4, 3], version: 3 },
  { since: [4, 2], version: 2 },
  { since: [4, 1], version: 1 },
]

/**
 * Memory faults that a guest can reach, with the first release that does not have them. Distributions mend some without
 * a new number. Sources: libslirp's CHANGELOG.md (4.6.0), the advisories of the CVE numbers. The fragment fault was
 * seen with 4.7.0: a last IPv4 fragment that comes before the first one writes through a pointer of the guest's; which
 * release mends it is not known.
 */
const faults: readonly { readonly mended: readonly [number, number, number]; readonly name: string }[] = [
  { mended: [4, 6, 0], name: 'CVE-2021-3592 to 3595' },
  { mended: [4, 9, 2], name: 'CVE-2026-9539' },
]
const SEEN_WITH_FRAGMENT_FAULT = '4.7.0'

export const slirpUpdate = 'update libslirp to 4.9.2 or newer, or install what your distribution offers'

/** In a few words; null where none is known. A crash is contained in the slirp process in any case. */
export function knownFaults(release: string): string | null {
  const [major = 0, minor = 0, patch = 0] = release.split('.').map(part => Number.parseInt(part, 10))
  const isBefore = ([a, b, c]: readonly [number, number, number]) =>
    major !== a ? major < a : minor !== b ? minor < b : patch < c
  const names = faults.filter(({ mended }) => isBefore(mended)).map(({ name }) => name)
  if (release === SEEN_WITH_FRAGMENT_FAULT) names.push('a write through a forged pointer by IPv4 fragments')
  return names.length === 0 ? null : names.join(', ')
}

type Call = (...args: number[]) => number

export interface SlirpLibrary {
  readonly file: string
  /** As `4.7.0`. */
  readonly version: string
  /** 1 to 4. */
  readonly configVersion: number
  /** A C function that returns the 64-bit integer its argument points to; null where glib is not behind libslirp. */
  readonly load64: bigint | null
  /** Returns the address of a `struct Slirp`, 0 when it refuses the configuration. */
  readonly create: (config: object, callbacks: number, opaque: number) => number
  readonly cleanup: Call
  /** (slirp, timeout, addPoll, opaque) */
  readonly fill: Call
  /** (slirp, selectError, getReturned, opaque) */
  readonly dispatch: Call
  /** (slirp, frame, length) */
  readonly input: Call
  /** (slirp, id, opaque); null before 4.7. */
  readonly handleTimer: Call | null
  /** (slirp, host, hostLength, guest, guestLength, flags), addresses as `struct sockaddr`; null before 4.5. */
  readonly addForward: Call | null
  /** (slirp, host, hostLength, flags) */
  readonly removeForward: Call | null
  /** (slirp, isUdp, hostAddress, hostPort, guestAddress, guestPort), IPv4 addresses in network order. */
  readonly addForward4: Call
  readonly removeForward4: Call
}

/**
 * As C lays it out; `uint32` and arrays of it stand for `struct in_addr` and `struct in6_addr`, which hold network
 * order.
 */
const in6Addr = koffi.array('uint32_t', 4)
export const slirpConfig = koffi.struct('SlirpConfig', {
  version: 'uint32_t',
  restricted: 'int',
  in_enabled: 'bool',
  vnetwork: 'uint32_t',
  vnetmask: 'uint32_t',
  vhost: 'uint32_t',
  in6_enabled: 'bool',
  vprefix_addr6: in6Addr,
  vprefix_len: 'uint8_t',
  vhost6: in6Addr,
  vhostname: 'const char *',
  tftp_server_name: 'const char *',
  tftp_path: 'const char *',
  bootfile: 'const char *',
  vdhcp_start: 'uint32_t',
  vnameserver: 'uint32_t',
  vnameserver6: in6Addr,
  vdnssearch: 'uintptr_t',
  vdomainname: 'const char *',
  if_mtu: 'size_t',
  if_mru: 'size_t',
  disable_host_loopback: 'bool',
  enable_emu: 'bool',
  outbound_addr: 'uintptr_t',
  outbound_addr6: 'uintptr_t',
  disable_dns: 'bool',
  disable_dhcp: 'bool',
})

let loaded: SlirpLibrary | undefined

/**
 * Loads it, once for each thread. Throws OperatorError when this machine has none, or too old a one. The environment's
 * TAPSWITCH_LIBSLIRP, where set, is the file to load and the only one that is tried.
 */
export function loadSlirp(): SlirpLibrary {
  loaded ??= bind(open(candidates(process.platform, process.env.TAPSWITCH_LIBSLIRP)))
  return loaded
}

/** Why it cannot be loaded, in one sentence with what to install; undefined when it can. */
export function slirpIsMissing(): string | undefined {
  try {
    loadSlirp()
    return undefined
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error
    return error.message
  }
}

export function candidates(platform: NodeJS.Platform, override: string | undefined): readonly string[] {
  if (override !== undefined && override !== '') return [override]
  return fileNames[platform] ?? []
}

/** The newest `SlirpConfig` that this release knows; undefined for a release without `slirp_new`. */
export function configVersionOf(release: string): number | undefined {
  const [major = 0, minor = 0] = release.split('.').map(Number)
  const isSince = ([wantedMajor, wantedMinor]: readonly [number, number]) =>
    major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
  return configVersions.find(({ since }) => isSince(since))?.version
}

type Opened = { file: string; handle: ReturnType<typeof koffi.load> }

function open(files: readonly string[]): Opened {
  for (const file of files) {
    try {
      return { file, handle: koffi.load(file) }
    } catch {
      // The next name may be there.
    }
  }
  throw new OperatorError(`libslirp is not installed, looked for ${files.join(', ')} (${slirpPackages})`)
}

function bind({ file, handle }: Opened): SlirpLibrary {
  const call = (declaration: string): Call => handle.func(declaration) as unknown as Call
  const optional = (declaration: string): Call | null => {
    try {
      return call(declaration)
    } catch {
      return null
    }
  }
  const symbol = (name: string): bigint | null => {
    try {
      return koffi.address(handle.symbol(name))
    } catch {
      return null
    }
  }
  const version = (handle.func('const char *slirp_version_string()') as unknown as () => string)()
  const configVersion = configVersionOf(version)
  if (configVersion === undefined) {
    throw new OperatorError(`libslirp ${version} (${file}) is too old, 4.1 or newer is needed (${slirpPackages})`)
  }
  const create = handle.func('slirp_new', 'uintptr_t', [koffi.pointer(slirpConfig), 'uintptr_t', 'uintptr_t'])
  return {
    file,
    version,
    configVersion,
    load64: symbol('g_atomic_pointer_get'),
    create: create as unknown as SlirpLibrary['create'],
    cleanup: call('void slirp_cleanup(uintptr_t slirp)'),
    fill: call('void slirp_pollfds_fill(uintptr_t slirp, uintptr_t timeout, uintptr_t add, uintptr_t opaque)'),
    dispatch: call('void slirp_pollfds_poll(uintptr_t slirp, int error, uintptr_t get, uintptr_t opaque)'),
    input: call('void slirp_input(uintptr_t slirp, uintptr_t frame, int length)'),
    handleTimer: optional('void slirp_handle_timer(uintptr_t slirp, int id, uintptr_t opaque)'),
    addForward: optional(
      'int slirp_add_hostxfwd(uintptr_t slirp, uintptr_t host, uint32_t hostLength, uintptr_t guest, uint32_t guestLength, int flags)',
    ),
    removeForward: optional(
      'int slirp_remove_hostxfwd(uintptr_t slirp, uintptr_t host, uint32_t hostLength, int flags)',
    ),
    // A struct in_addr by value travels in a register, as its one member would, on x86_64 and arm64.
    addForward4: call(
      'int slirp_add_hostfwd(uintptr_t slirp, int udp, uint32_t host, int hostPort, uint32_t guest, int guestPort)',
    ),
    removeForward4: call('int slirp_remove_hostfwd(uintptr_t slirp, int udp, uint32_t host, int hostPort)'),
  }
}
