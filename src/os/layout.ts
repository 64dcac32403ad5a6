/**
 * Structure layouts and numbers in which the supported kernels differ, for LP64 little-endian (x86_64, arm64).
 *
 * Linux: include/uapi/linux/un.h, include/linux/socket.h, include/uapi/asm-generic/socket.h, include/uapi/linux/eventpoll.h.
 * macOS: apple-oss-distributions/xnu bsd/sys/{un,socket,errno,fcntl,poll}.h. The macOS values come from those headers and
 * have not run on a Mac yet (docs/platforms.md).
 */
export interface Layout {
  platform: 'linux' | 'darwin'
  sockaddrUn: {
    /** Bytes in front of the path; the address family is their last byte(s). */
    pathOffset: number
    familyOffset: number
    /** Room for the path, its terminating NUL included. */
    pathSize: number
    /** Linux names sockets without a file by a path that starts with NUL. */
    abstractNames: boolean
  }
  /** Byte offsets in struct msghdr; `stride` is the distance between headers in a vector (struct mmsghdr on Linux). */
  msghdr: {
    stride: number
    name: number
    nameLength: number
    iov: number
    iovLength: number
    flags: number
    received: number | null
  }
  constants: {
    AF_UNIX: number
    SOCK_DGRAM: number
    SOCK_STREAM: number
    SO_ERROR: number
    /** Keeps SIGPIPE away. 0 on macOS, where older kernels do not know the flag: Node ignores the signal anyway. */
    MSG_NOSIGNAL: number
    SOL_SOCKET: number
    SO_SNDBUF: number
    SO_RCVBUF: number
    /** Ignores net.core.?mem_max; needs CAP_NET_ADMIN. Null where there is no such thing. */
    SO_SNDBUFFORCE: number | null
    SO_RCVBUFFORCE: number | null
    MSG_DONTWAIT: number
    O_NONBLOCK: number
  }
  errno: Record<ErrorName, number>
}

export type ErrorName =
  | 'EPERM'
  | 'ENOENT'
  | 'EINTR'
  | 'EAGAIN'
  | 'ENOMEM'
  | 'ENFILE'
  | 'EMFILE'
  | 'EACCES'
  | 'EEXIST'
  | 'EINVAL'
  | 'EPIPE'
  | 'ENOTSOCK'
  | 'EMSGSIZE'
  | 'EPROTOTYPE'
  | 'EADDRINUSE'
  | 'ECONNABORTED'
  | 'ECONNRESET'
  | 'ETIMEDOUT'
  | 'EINPROGRESS'
  | 'ENOBUFS'
  | 'EISCONN'
  | 'ENOTCONN'
  | 'ECONNREFUSED'

export const linuxLayout: Layout = {
  platform: 'linux',
  sockaddrUn: { pathOffset: 2, familyOffset: 0, pathSize: 108, abstractNames: true },
  msghdr: { stride: 64, name: 0, nameLength: 8, iov: 16, iovLength: 24, flags: 48, received: 56 },
  constants: {
    AF_UNIX: 1,
    SOCK_DGRAM: 2,
    SOCK_STREAM: 1,
    SO_ERROR: 4,
    MSG_NOSIGNAL: 0x4000,
    SOL_SOCKET: 1,
    SO_SNDBUF: 7,
    SO_RCVBUF: 8,
    SO_SNDBUFFORCE: 32,
    SO_RCVBUFFORCE: 33,
    MSG_DONTWAIT: 0x40,
    O_NONBLOCK: 0x800,
  },
  errno: {
    EPERM: 1,
    ENOENT: 2,
    EINTR: 4,
    EAGAIN: 11,
    ENOMEM: 12,
    ENFILE: 23,
    EMFILE: 24,
    EACCES: 13,
    EEXIST: 17,
    EINVAL: 22,
    EPIPE: 32,
    ENOTSOCK: 88,
    EMSGSIZE: 90,
    EPROTOTYPE: 91,
    EADDRINUSE: 98,
    ECONNABORTED: 103,
    ECONNRESET: 104,
    ETIMEDOUT: 110,
    EINPROGRESS: 115,
    ENOBUFS: 105,
    EISCONN: 106,
    ENOTCONN: 107,
    ECONNREFUSED: 111,
  },
}

export const darwinLayout: Layout = {
  platform: 'darwin',
  // sun_len comes first and the family second: the other way round from what most bindings assume.
  sockaddrUn: { pathOffset: 2, familyOffset: 1, pathSize: 104, abstractNames: false },
  // msg_iovlen is an int here, msg_flags sits at 44. There is no recvmmsg; one header serves one call.
  msghdr: { stride: 48, name: 0, nameLength: 8, iov: 16, iovLength: 24, flags: 44, received: null },
  constants: {
    AF_UNIX: 1,
    SOCK_DGRAM: 2,
    SOCK_STREAM: 1,
    SO_ERROR: 0x1007,
    MSG_NOSIGNAL: 0,
    SOL_SOCKET: 0xffff,
    SO_SNDBUF: 0x1001,
    SO_RCVBUF: 0x1002,
    SO_SNDBUFFORCE: null,
    SO_RCVBUFFORCE: null,
    MSG_DONTWAIT: 0x80,
    O_NONBLOCK: 0x4,
  },
  errno: {
    EPERM: 1,
    ENOENT: 2,
    EINTR: 4,
    EAGAIN: 35,
    ENOMEM: 12,
    ENFILE: 23,
    EMFILE: 24,
    EACCES: 13,
    EEXIST: 17,
    EINVAL: 22,
    EPIPE: 32,
    ENOTSOCK: 38,
    EMSGSIZE: 40,
    EPROTOTYPE: 41,
    EADDRINUSE: 48,
    ECONNABORTED: 53,
    ECONNRESET: 54,
    ETIMEDOUT: 60,
    EINPROGRESS: 36,
    ENOBUFS: 55,
    EISCONN: 56,
    ENOTCONN: 57,
    ECONNREFUSED: 61,
  },
}
