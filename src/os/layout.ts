/**
 * Structure layouts and numbers in which the supported kernels differ, for LP64 little-endian (x86_64, arm64).
 *
 * Linux: include/uapi/linux/un.h, include/linux/socket.h, include/uapi/asm-generic/socket.h,
 * include/uapi/linux/eventpoll.h. macOS: apple-oss-distributions/xnu bsd/sys/{un,socket,errno,fcntl,poll}.h,
 * bsd/netinet/in.h, bsd/netinet6/in6.h. The macOS values come from those headers and have not run on a Mac yet
 * (docs/platforms.md).
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
    control: number
    controlLength: number
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
    /** Bytes sent and not read yet (include/uapi/linux/sockios.h); null where it does not tell of datagrams. */
    SIOCOUTQ: number | null
    MSG_DONTWAIT: number
    /**
     * Makes recvmsg(2) and recvmmsg(2) return the length a datagram had, not what of it fitted. 0 on macOS, which only
     * says in the header's flags that something was cut, so a datagram there is as long as the slot.
     */
    MSG_TRUNC: number
    O_NONBLOCK: number
  }
  inet: InetLayout
  errno: Record<ErrorName, number>
}

/**
 * Of UDP sockets. struct sockaddr_in is 16 bytes, sockaddr_in6 28; port @2 and address @4, @8 are the same everywhere.
 */
export interface InetLayout {
  AF_INET: number
  AF_INET6: number
  /** macOS writes the structure's length in front of the family. */
  familyOffset: number
  SO_REUSEADDR: number
  SO_REUSEPORT: number
  /** Counters of a socket, what it lost for want of buffer among them; null where there is no such thing. */
  SO_MEMINFO: number | null
  /** A program that says which datagrams a socket takes; null where there is no such thing. */
  SO_ATTACH_FILTER: number | null
  /** A program that says which of the sockets on one address gets a datagram; null where there is no such thing. */
  SO_ATTACH_REUSEPORT_CBPF: number | null
  /** Control message that makes one message several datagrams; null where there is no such thing. */
  UDP_SEGMENT: { level: number; type: number } | null
  IPPROTO_IP: number
  IPPROTO_IPV6: number
  /** Option and value for "never fragment, refuse what does not fit the path", and for "do as is usual". */
  IP_DONTFRAG: { option: number; on: number; off: number }
  IPV6_DONTFRAG: { option: number; on: number; off: number }
  /** MTU of the path of a connected socket. */
  IP_MTU: number | null
  IPV6_MTU: number | null
  IPV6_V6ONLY: number
  /** Linux gives a socket what any other joined, unless told not to. */
  IP_MULTICAST_ALL: number | null
  IPV6_MULTICAST_ALL: number | null
  IP_MULTICAST_IF: number
  IP_MULTICAST_TTL: number
  IP_MULTICAST_LOOP: number
  IP_ADD_MEMBERSHIP: number
  IPV6_MULTICAST_IF: number
  IPV6_MULTICAST_HOPS: number
  IPV6_MULTICAST_LOOP: number
  IPV6_JOIN_GROUP: number
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
  | 'EADDRNOTAVAIL'
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
  msghdr: {
    stride: 64,
    name: 0,
    nameLength: 8,
    iov: 16,
    iovLength: 24,
    control: 32,
    controlLength: 40,
    flags: 48,
    received: 56,
  },
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
    SIOCOUTQ: 0x5411,
    MSG_DONTWAIT: 0x40,
    MSG_TRUNC: 0x20,
    O_NONBLOCK: 0x800,
  },
  // include/uapi/linux/in.h, include/uapi/linux/in6.h, include/uapi/linux/udp.h; IP_PMTUDISC_DO is 2, IP_PMTUDISC_DONT
  // 0.
  inet: {
    AF_INET: 2,
    AF_INET6: 10,
    familyOffset: 0,
    SO_REUSEADDR: 2,
    SO_REUSEPORT: 15,
    SO_MEMINFO: 55,
    SO_ATTACH_FILTER: 26,
    SO_ATTACH_REUSEPORT_CBPF: 51,
    UDP_SEGMENT: { level: 17, type: 103 },
    IPPROTO_IP: 0,
    IPPROTO_IPV6: 41,
    IP_DONTFRAG: { option: 10, on: 2, off: 0 },
    IPV6_DONTFRAG: { option: 23, on: 2, off: 0 },
    IP_MTU: 14,
    IPV6_MTU: 24,
    IPV6_V6ONLY: 26,
    IP_MULTICAST_ALL: 49,
    IPV6_MULTICAST_ALL: 29,
    IP_MULTICAST_IF: 32,
    IP_MULTICAST_TTL: 33,
    IP_MULTICAST_LOOP: 34,
    IP_ADD_MEMBERSHIP: 35,
    IPV6_MULTICAST_IF: 17,
    IPV6_MULTICAST_HOPS: 18,
    IPV6_MULTICAST_LOOP: 19,
    IPV6_JOIN_GROUP: 20,
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
    EADDRNOTAVAIL: 99,
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
  msghdr: {
    stride: 48,
    name: 0,
    nameLength: 8,
    iov: 16,
    iovLength: 24,
    control: 32,
    controlLength: 40,
    flags: 44,
    received: null,
  },
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
    SIOCOUTQ: null,
    MSG_DONTWAIT: 0x80,
    MSG_TRUNC: 0,
    O_NONBLOCK: 0x4,
  },
  inet: {
    AF_INET: 2,
    AF_INET6: 30,
    familyOffset: 1,
    SO_REUSEADDR: 4,
    SO_REUSEPORT: 0x200,
    SO_MEMINFO: null,
    SO_ATTACH_FILTER: null,
    SO_ATTACH_REUSEPORT_CBPF: null,
    UDP_SEGMENT: null,
    IPPROTO_IP: 0,
    IPPROTO_IPV6: 41,
    IP_DONTFRAG: { option: 28, on: 1, off: 0 },
    IPV6_DONTFRAG: { option: 62, on: 1, off: 0 },
    IP_MTU: null,
    IPV6_MTU: null,
    IPV6_V6ONLY: 27,
    IP_MULTICAST_ALL: null,
    IPV6_MULTICAST_ALL: null,
    IP_MULTICAST_IF: 9,
    IP_MULTICAST_TTL: 10,
    IP_MULTICAST_LOOP: 11,
    IP_ADD_MEMBERSHIP: 12,
    IPV6_MULTICAST_IF: 9,
    IPV6_MULTICAST_HOPS: 10,
    IPV6_MULTICAST_LOOP: 11,
    IPV6_JOIN_GROUP: 12,
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
    EADDRNOTAVAIL: 49,
    ECONNRESET: 54,
    ETIMEDOUT: 60,
    EINPROGRESS: 36,
    ENOBUFS: 55,
    EISCONN: 56,
    ENOTCONN: 57,
    ECONNREFUSED: 61,
  },
}
