/**
 * The framework and the parts of libSystem that go with it, through koffi: every function, key and symbol this folder
 * uses, with the C signatures of the macOS 26.1 SDK (vmnet.h, xpc.h, dispatch/queue.h). Pointers are numbers, as in
 * src/os.
 *
 * On macOS the framework is loaded by its install name, which dyld finds in its shared cache where no such file exists.
 * A library named by TAPSWITCH_VMNET_LIBRARY takes the place of all of it, on any system; the tests have one, and
 * nothing else needs it.
 */
import koffi, { type LibraryHandle } from 'koffi'
import { OperatorError } from '../errors.js'

const FRAMEWORK = '/System/Library/Frameworks/vmnet.framework/vmnet'

type Call = (...args: (number | string | boolean)[]) => number
type TextCall = (...args: (number | string)[]) => string | null
type AsyncCall = Call & { async: (...args: unknown[]) => void }

/** Where the library is: the variable's value, else the framework on macOS, else undefined. */
export function vmnetLibraryPath(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string | undefined {
  const replacement = env.TAPSWITCH_VMNET_LIBRARY
  if (replacement !== undefined && replacement !== '') return replacement
  return platform === 'darwin' ? FRAMEWORK : undefined
}

/** Throws OperatorError where there is no vmnet. */
export function requireVmnetPath(): string {
  const path = vmnetLibraryPath()
  if (path === undefined) {
    throw new OperatorError(
      `vmnet is a part of macOS and this is ${process.platform}; type: tap, slirp or auto do the same here`,
    )
  }
  return path
}

/** From macOS 26 on. */
const networkFunctions = {
  configurationCreate: 'uintptr_t vmnet_network_configuration_create(uint32_t mode, uintptr_t status)',
  setExternalInterface:
    'uint32_t vmnet_network_configuration_set_external_interface(uintptr_t configuration, const char *name)',
  disableDhcp: 'void vmnet_network_configuration_disable_dhcp(uintptr_t configuration)',
  setIpv4Subnet:
    'uint32_t vmnet_network_configuration_set_ipv4_subnet(uintptr_t configuration, uintptr_t subnet, uintptr_t mask)',
  setIpv6Prefix:
    'uint32_t vmnet_network_configuration_set_ipv6_prefix(uintptr_t configuration, uintptr_t prefix, uint8_t length)',
  addDhcpReservation:
    'uint32_t vmnet_network_configuration_add_dhcp_reservation(uintptr_t configuration, uintptr_t mac, uintptr_t address)',
  setMtu: 'uint32_t vmnet_network_configuration_set_mtu(uintptr_t configuration, uint32_t mtu)',
  create: 'uintptr_t vmnet_network_create(uintptr_t configuration, uintptr_t status)',
  getIpv4Subnet: 'void vmnet_network_get_ipv4_subnet(uintptr_t network, uintptr_t subnet, uintptr_t mask)',
  startInterface:
    'uintptr_t vmnet_interface_start_with_network(uintptr_t network, uintptr_t description, uintptr_t queue, uintptr_t handler)',
} as const

export type NetworkFunctions = Record<Exclude<keyof typeof networkFunctions, 'create'>, Call> & { create: AsyncCall }

const functions = {
  start: 'uintptr_t vmnet_start_interface(uintptr_t description, uintptr_t queue, uintptr_t handler)',
  stop: 'uint32_t vmnet_stop_interface(uintptr_t interface, uintptr_t queue, uintptr_t handler)',
  setEventCallback:
    'uint32_t vmnet_interface_set_event_callback(uintptr_t interface, uint32_t mask, uintptr_t queue, uintptr_t callback)',
  copySharedInterfaceList: 'uintptr_t vmnet_copy_shared_interface_list()',
  addForward:
    'uint32_t vmnet_interface_add_ip_port_forwarding_rule(uintptr_t interface, uint8_t protocol, uint16_t externalPort, uint8_t family, uintptr_t address, uint16_t internalPort, uintptr_t handler)',
  removeForward:
    'uint32_t vmnet_interface_remove_ip_port_forwarding_rule(uintptr_t interface, uint8_t protocol, uint16_t externalPort, uint8_t family, uintptr_t handler)',
  getForwards:
    'uint32_t vmnet_interface_get_ip_port_forwarding_rules(uintptr_t interface, uint8_t family, uintptr_t handler)',
  forwardDetails:
    'uint32_t vmnet_ip_port_forwarding_rule_get_details(uintptr_t rule, uintptr_t protocol, uintptr_t externalPort, uint8_t family, uintptr_t address, uintptr_t internalPort)',
} as const

const systemFunctions = {
  xpcDictionaryCreate: 'uintptr_t xpc_dictionary_create(uintptr_t keys, uintptr_t values, size_t count)',
  xpcSetUint64: 'void xpc_dictionary_set_uint64(uintptr_t dictionary, const char *key, uint64_t value)',
  xpcSetBool: 'void xpc_dictionary_set_bool(uintptr_t dictionary, const char *key, bool value)',
  xpcSetString: 'void xpc_dictionary_set_string(uintptr_t dictionary, const char *key, const char *value)',
  xpcSetUuid: 'void xpc_dictionary_set_uuid(uintptr_t dictionary, const char *key, uintptr_t uuid)',
  xpcGetValue: 'uintptr_t xpc_dictionary_get_value(uintptr_t dictionary, const char *key)',
  xpcGetUint64: 'uint64_t xpc_dictionary_get_uint64(uintptr_t dictionary, const char *key)',
  xpcGetUuid: 'uintptr_t xpc_dictionary_get_uuid(uintptr_t dictionary, const char *key)',
  xpcArrayCount: 'size_t xpc_array_get_count(uintptr_t array)',
  xpcArrayValue: 'uintptr_t xpc_array_get_value(uintptr_t array, size_t index)',
  xpcRelease: 'void xpc_release(uintptr_t object)',
  queueCreate: 'uintptr_t dispatch_queue_create(const char *label, uintptr_t attributes)',
  queueSync: 'void dispatch_sync_f(uintptr_t queue, uintptr_t context, uintptr_t function)',
  queueRelease: 'void dispatch_release(uintptr_t object)',
} as const

const textFunctions = {
  xpcGetString: 'const char *xpc_dictionary_get_string(uintptr_t dictionary, const char *key)',
  xpcArrayString: 'const char *xpc_array_get_string(uintptr_t array, size_t index)',
} as const

export type VmnetFunctions = Record<keyof typeof functions, Call>
export type SystemFunctions = Record<keyof typeof systemFunctions, Call> & Record<keyof typeof textFunctions, TextCall>

export interface VmnetLibrary {
  readonly path: string
  readonly vmnet: VmnetFunctions
  readonly system: SystemFunctions
  /** Null before macOS 26. */
  readonly network: NetworkFunctions | null
  /** Releases a CoreFoundation object. */
  readonly cfRelease: Call
  /** Address of the class of global blocks. */
  readonly globalBlockClass: number
  /** Address of a C function that takes any arguments and does nothing to anybody. */
  readonly harmless: number
  /** The text of a `vmnet_..._key`; undefined where this system is too old to know it. */
  key(name: string): string | undefined
}

const opened = new Map<string, VmnetLibrary>()

/** Loads it once a thread. Throws OperatorError where it cannot be. */
export function openVmnetLibrary(path: string = requireVmnetPath()): VmnetLibrary {
  const known = opened.get(path)
  if (known !== undefined) return known
  const library = load(path)
  opened.set(path, library)
  return library
}

/** The two calls of the data path, for the thread that makes them: (interface, packets, count) -> status. */
export function bindPacketCalls(path: string): { read: Call; write: Call } {
  const library = koffi.load(path)
  return {
    read: library.func(
      'uint32_t vmnet_read(uintptr_t interface, uintptr_t packets, uintptr_t count)',
    ) as unknown as Call,
    write: library.func(
      'uint32_t vmnet_write(uintptr_t interface, uintptr_t packets, uintptr_t count)',
    ) as unknown as Call,
  }
}

function load(path: string): VmnetLibrary {
  try {
    const library = koffi.load(path)
    // libSystem is in every process of a Mac; a library that takes vmnet's place brings its own.
    const system = path === FRAMEWORK ? koffi.load(null) : library
    return {
      path,
      vmnet: bindAll(library, functions) as VmnetFunctions,
      system: { ...bindAll(system, systemFunctions), ...bindAll(system, textFunctions) } as unknown as SystemFunctions,
      network: bindNetwork(library),
      cfRelease: bind(path === FRAMEWORK ? coreFoundation() : library, 'void CFRelease(uintptr_t object)'),
      globalBlockClass: Number(system.symbol('_NSConcreteGlobalBlock')),
      harmless: Number(koffi.load(null).symbol('getppid')),
      key: name => keyText(library, name),
    }
  } catch (error) {
    const reason = (error as Error).message.split('\n')[0]
    throw new OperatorError(`vmnet cannot be loaded from ${path}: ${reason}`, { cause: error })
  }
}

const coreFoundation = () => koffi.load('/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation')

function bind(library: LibraryHandle, declaration: string): Call {
  return library.func(declaration) as unknown as Call
}

function bindAll(library: LibraryHandle, declarations: Record<string, string>): Record<string, Call> {
  return Object.fromEntries(Object.entries(declarations).map(([name, text]) => [name, bind(library, text)]))
}

function bindNetwork(library: LibraryHandle): NetworkFunctions | null {
  try {
    return bindAll(library, networkFunctions) as unknown as NetworkFunctions
  } catch {
    return null
  }
}

/** The symbol is a variable that holds a `const char *`. */
function keyText(library: LibraryHandle, name: string): string | undefined {
  try {
    return koffi.decode(library.symbol(`vmnet_${name}_key`), 'const char *') as string
  } catch {
    return undefined
  }
}
