/**
 * libpcap, found and bound: the compiler of tcpdump's filter expressions. Only `pcap_compile` is used; frames never
 * reach the library.
 *
 * A call may take seconds and much stack for a hostile expression, so the switch makes it in a process of its own
 * (filter-compiler.ts). Pointers are numbers, as everywhere (native-memory.ts).
 */
import koffi from 'koffi'
import { OperatorError } from '../errors.js'
import { type BpfProgram, FilterError, MAX_BPF_INSTRUCTIONS } from '../wire/bpf.js'
import { NativeMemory } from './native-memory.js'

/** Each name the dynamic linker is asked for, in this order. Fedora and others number the library 1, Debian 0.8. */
const fileNames: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: ['libpcap.so.0.8', 'libpcap.so.1', 'libpcap.so'],
  darwin: ['/usr/lib/libpcap.A.dylib', '/opt/homebrew/opt/libpcap/lib/libpcap.A.dylib'],
}

export const pcapPackages =
  'Debian and Ubuntu: apt install libpcap0.8, Fedora: dnf install libpcap, Alpine: apk add libpcap; macOS has it'

/** DLT_EN10MB: frames begin with an Ethernet header. */
const ETHERNET = 1
/** What the program returns for a match; as in tcpdump, more than any frame is long. */
const SNAP_LENGTH = 262_144
/** `ip broadcast` knows 255.255.255.255 and 0.0.0.0 only, as when tcpdump reads a file: a switch has no netmask. */
const NO_NETMASK = 0
/** `struct bpf_program`: count (u32), padding, pointer to instructions of 8 bytes each. */
const PROGRAM_SIZE = 16

export interface PcapLibrary {
  readonly file: string
  /** As `libpcap version 1.10.3 (...)`. */
  readonly version: string
  /**
   * Compiles for Ethernet frames, optimised. The expression must have passed `checkFilterText`.
   * @throws FilterError with libpcap's own words
   */
  readonly compile: (expression: string) => BpfProgram
}

let loaded: PcapLibrary | undefined

/**
 * Loads it, once for each thread. Throws OperatorError when this machine has none. The environment's TAPSWITCH_LIBPCAP,
 * where set, is the file to load and the only one that is tried.
 */
export function loadPcap(): PcapLibrary {
  loaded ??= bind(open(candidates(process.platform, process.env.TAPSWITCH_LIBPCAP)))
  return loaded
}

export function candidates(platform: NodeJS.Platform, override: string | undefined): readonly string[] {
  if (override !== undefined && override !== '') return [override]
  return fileNames[platform] ?? []
}

interface Opened {
  file: string
  handle: ReturnType<typeof koffi.load>
}

function open(files: readonly string[]): Opened {
  for (const file of files) {
    try {
      return { file, handle: koffi.load(file) }
    } catch {
      // The next name may be there.
    }
  }
  throw new OperatorError(
    `filters need libpcap, which is not installed: looked for ${files.join(', ')} (${pcapPackages})`,
  )
}

function bind({ file, handle }: Opened): PcapLibrary {
  const numeric = (declaration: string) => handle.func(declaration) as unknown as (...args: unknown[]) => number
  const text = (declaration: string) => handle.func(declaration) as unknown as (...args: number[]) => string
  const openDead = numeric('uintptr_t pcap_open_dead(int linktype, int snaplen)')
  const compile = numeric(
    'int pcap_compile(uintptr_t pcap, uintptr_t program, const char *expression, int optimize, uint32_t netmask)',
  )
  const freeCode = numeric('void pcap_freecode(uintptr_t program)')
  const close = numeric('void pcap_close(uintptr_t pcap)')
  const getError = text('const char *pcap_geterr(uintptr_t pcap)')
  const version = text('const char *pcap_lib_version()')
  return {
    file,
    version: version(),
    compile: expression => {
      const program = new NativeMemory(PROGRAM_SIZE)
      const pcap = openDead(ETHERNET, SNAP_LENGTH)
      if (pcap === 0) throw new Error('pcap_open_dead has no memory')
      try {
        if (compile(pcap, program.address, expression, 1, NO_NETMASK) !== 0) throw new FilterError(getError(pcap))
        try {
          return copyOf(program)
        } finally {
          freeCode(program.address)
        }
      } finally {
        close(pcap)
      }
    },
  }
}

function copyOf(program: NativeMemory): BpfProgram {
  const count = program.words[0] >>> 0
  if (count > MAX_BPF_INSTRUCTIONS) {
    throw new FilterError(`the filter needs ${count} instructions, at most ${MAX_BPF_INSTRUCTIONS} are allowed`)
  }
  return new Uint32Array(koffi.view(BigInt(program.readPointer(8)), count * 8)).slice()
}
