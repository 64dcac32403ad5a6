/**
 * What each option of a transport or interface can reach outside the switch, so that confinement.ts can say which of
 * them may come over the API and with which values. The table is complete: a test walks the schemas, and an option that
 * is not here is refused when it comes over the API.
 */

export type Reach =
  /** Nothing: it names, counts, or shapes traffic on the switch. */
  | 'none'
  /** A socket in the file system; relative ones start in `runtimeDir`. */
  | 'path'
  /** A file; relative ones start at the configuration file. */
  | 'file'
  /** An address that listens, or the path of a socket that does, or a socket of systemd. */
  | 'listen'
  /** An address that is connected to or sent to, or the path of such a socket. */
  | 'target'
  /** Addresses that become targets when they send. */
  | 'source'
  /** A multicast group: a target, unless `interface` is loopback. */
  | 'group'
  /** The contents of a file, or of an environment variable. */
  | 'secret'
  /** For the operator alone: any value but the default is refused. */
  | 'file-only'
  /** Goes with its type, which `http.allowedInterfaces` allows as a whole. */
  | 'type'

export type Classes = Readonly<Record<string, Reach>>

/** Of every type; `port` stands for all options in it, which are about frames and addresses on the switch. */
const common = { name: 'none', type: 'none', port: 'none' } as const
const socketFile = { permissions: 'none', owner: 'none', group: 'none' } as const
const forwards = { 'forwards.protocol': 'none', 'forwards.host': 'listen', 'forwards.guest': 'none' } as const

/** By type, by option; entries of lists have the path of their list. */
export const confinementClasses: Readonly<Record<string, Classes>> = {
  unixgram: {
    ...common,
    ...socketFile,
    listen: 'path',
    peers: 'none',
    maxPeers: 'none',
    'connect.local': 'path',
    'connect.remote': 'path',
    handshake: 'none',
  },
  stream: {
    ...common,
    ...socketFile,
    listen: 'listen',
    connect: 'target',
    // With another length in front of frames, frames can be made that spell the protocol of the far end.
    framing: 'file-only',
    keepAliveSeconds: 'none',
    // `listen` itself says whether it is remote.
    allowRemote: 'none',
    peers: 'none',
    maxPeers: 'none',
  },
  udp: {
    ...common,
    listen: 'listen',
    peers: 'target',
    learnPeers: 'none',
    allowedSources: 'source',
    maxPeers: 'none',
    peerTimeoutSeconds: 'none',
    fragment: 'none',
    group: 'group',
    // Only with `group`, which looks at it.
    interface: 'none',
    ttl: 'none',
    loop: 'none',
  },
  fd: { ...common, type: 'file-only', fd: 'file-only', framing: 'file-only' },
  vxlan: {
    ...common,
    vni: 'none',
    listen: 'listen',
    remotes: 'target',
    learnRemotes: 'none',
    allowedSources: 'source',
    maxRemotes: 'none',
    remoteTimeoutSeconds: 'none',
    ageingSeconds: 'none',
    sourcePorts: 'none',
    fragment: 'none',
  },
  websocket: {
    ...common,
    token: 'secret',
    pingSeconds: 'none',
    idleSeconds: 'none',
    textPings: 'none',
    listen: 'listen',
    'tls.certificate': 'file',
    'tls.key': 'file',
    allowedOrigins: 'none',
    maxPeers: 'none',
    maxPeersPerAddress: 'none',
    connect: 'target',
    ca: 'file',
  },
  auto: { ...common, ...forwards, type: 'type' },
  slirp: {
    ...common,
    ...forwards,
    type: 'type',
    network: 'none',
    gateway: 'none',
    dns: 'none',
    dhcp: 'none',
    dhcpStart: 'none',
    hostname: 'none',
    domain: 'none',
    search: 'none',
    ipv6: 'none',
    'ipv6.prefix': 'none',
    'ipv6.gateway': 'none',
    'ipv6.dns': 'none',
    mtu: 'none',
    restricted: 'none',
    // Guests would reach the API, and whatever else trusts callers on loopback.
    hostLoopback: 'file-only',
    // Addresses of this host that its routes may treat differently.
    outboundAddress: 'file-only',
    outboundAddress6: 'file-only',
    maxConnections: 'none',
  },
  tap: {
    ...common,
    type: 'type',
    device: 'type',
    netns: 'type',
    mac: 'type',
    mtu: 'type',
    persistent: 'type',
    owner: 'type',
    mode: 'type',
    address: 'type',
    dhcp: 'type',
    'dhcp.start': 'type',
    'dhcp.end': 'type',
    'dhcp.leaseSeconds': 'type',
    'dhcp.dns': 'type',
    bridge: 'type',
    createBridge: 'type',
  },
  vmnet: {
    ...common,
    ...forwards,
    type: 'type',
    mode: 'type',
    mac: 'type',
    mtu: 'type',
    bridgeInterface: 'type',
    dhcpStart: 'type',
    dhcpEnd: 'type',
    subnetMask: 'type',
    dhcp: 'type',
    'reservations.mac': 'type',
    'reservations.address': 'type',
    externalInterface: 'type',
    isolated: 'type',
    interfaceId: 'type',
    networkId: 'type',
    hostAddress: 'type',
    nat66Prefix: 'type',
    enableTso: 'type',
    enableChecksumOffload: 'type',
    api: 'type',
  },
}
