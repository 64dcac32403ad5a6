/**
 * The C library, through koffi. Pointers are declared uintptr_t and passed as numbers (see native-memory.ts).
 *
 * fcntl takes variable arguments and is declared so: on arm64 macOS such arguments travel on the stack, and a fixed
 * declaration would pass garbage.
 */
import koffi from 'koffi'

/** Symbols of the process itself: libc on Linux (glibc and musl alike), libSystem on macOS. */
export const libc = koffi.load(null)

type Call = (...args: number[]) => number
type AnyCall = (...args: unknown[]) => number

const bind = (declaration: string): Call => libc.func(declaration) as unknown as Call

export const socket = bind('int socket(int domain, int type, int protocol)')
export const bindSocket = bind('int bind(int fd, uintptr_t address, uint32_t length)')
export const connectSocket = bind('int connect(int fd, uintptr_t address, uint32_t length)')
export const socketpair = bind('int socketpair(int domain, int type, int protocol, uintptr_t descriptors)')
export const listenSocket = bind('int listen(int fd, int backlog)')
export const accept = bind('int accept(int fd, uintptr_t address, uintptr_t length)')
export const getpeername = bind('int getpeername(int fd, uintptr_t address, uintptr_t length)')
export const getsockname = bind('int getsockname(int fd, uintptr_t address, uintptr_t length)')
export const if_nametoindex = bind('unsigned int if_nametoindex(uintptr_t name)')
export const setsockopt = bind('int setsockopt(int fd, int level, int name, uintptr_t value, uint32_t length)')
export const getsockopt = bind('int getsockopt(int fd, int level, int name, uintptr_t value, uintptr_t length)')
export const recvmsg = bind('long recvmsg(int fd, uintptr_t header, int flags)')
export const sendmsg = bind('long sendmsg(int fd, uintptr_t header, int flags)')
export const send = bind('long send(int fd, uintptr_t buffer, size_t length, int flags)')
export const recv = bind('long recv(int fd, uintptr_t buffer, size_t length, int flags)')
export const read = bind('long read(int fd, uintptr_t buffer, size_t length)')
export const write = bind('long write(int fd, uintptr_t buffer, size_t length)')
/** Linux only, where a fixed argument is passed as a variable one is. */
export const ioctl = bind('int ioctl(int fd, unsigned long request, uintptr_t argument)')
export const closeDescriptor = bind('int close(int fd)')
export const pollDescriptors = bind('int poll(uintptr_t descriptors, unsigned long count, int timeout)')
export const pipe = bind('int pipe(uintptr_t descriptors)')

const fcntl = libc.func('int fcntl(int fd, int command, ...)') as unknown as AnyCall
const F_GETFL = 3
const F_SETFL = 4
const F_SETFD = 2
const FD_CLOEXEC = 1

/** The error number of the call just made on this thread. */
export const errno = (): number => koffi.errno()

/** Makes a descriptor non-blocking and keeps it from child processes. */
export function nonBlocking(fd: number, O_NONBLOCK: number): void {
  fcntl(fd, F_SETFL, 'int', fcntl(fd, F_GETFL) | O_NONBLOCK)
  fcntl(fd, F_SETFD, 'int', FD_CLOEXEC)
}

/** 0 or more on success, the negated error number otherwise. */
export const orErrno = (result: number): number => (result >= 0 ? result : -koffi.errno())
