/**
 * Keeps code in memory until the process has ended.
 *
 * Node unloads its native add-ons while the process is still being torn down. A thread of a dispatch queue that has
 * called us may be on its way out of koffi just then, or wait in it, and would return into memory that is gone.
 * Stopping an interface waits for that thread; a process that ends without stopping cannot.
 */
import koffi from 'koffi'
import { NativeMemory } from '../os/native-memory.js'

// <dlfcn.h> of glibc, musl and macOS.
const RTLD_LAZY = 1
const RTLD_NODELETE = process.platform === 'darwin' ? 0x80 : 0x1000

const pinned = new Set<string>()

/** Pins whatever the code at this address belongs to. */
export function pinCodeAt(address: number): void {
  const process = koffi.load(null)
  const dladdr = process.func('int dladdr(uintptr_t address, uintptr_t info)')
  // struct Dl_info begins with `const char *dli_fname`.
  const info = new NativeMemory(32)
  if (dladdr(address, info.address) === 0) return
  const path = koffi.decode(BigInt(info.readPointer(0)), 'char', -1) as string
  if (pinned.has(path)) return
  pinned.add(path)
  process.func('uintptr_t dlopen(const char *path, int mode)')(path, RTLD_LAZY | RTLD_NODELETE)
}
