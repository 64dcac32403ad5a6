/**
 * The arguments that plug a VM into each transport, ready to paste.
 *
 * Every VM needs a MAC address of its own, and with QEMU a socket path of its own, at which it is answered. The
 * spelling is each program's: QEMU takes a comma inside a value as ",,"; vfkit and krunkit have no way to write one.
 * With krunkit `offloading` must be off, since with it the guest sends 64 KiB frames whose checksums are not
 * finished; the form `unixSocketPath=` turns it on, so the long form is used.
 */
import { dirname, join } from 'node:path'
import type {
  Config,
  StreamConfig,
  TransportConfig,
  UdpConfig,
  UnixgramConnectConfig,
  UnixgramListenConfig,
  VxlanConfig,
  WebSocketConfig,
} from '../config/config.js'
import { parseHostPort } from '../config/inet-address.js'
import { maxSocketPathBytes } from '../config/socket-paths.js'
import { parseStreamAddress } from '../config/stream-address.js'
import { withoutSecrets } from '../config/url-secrets.js'

/** Text for all transports, a heading and indented lines for each. */
export function launcherLines(config: Config, platform: NodeJS.Platform = process.platform): string[] {
  return config.transports.flatMap((transport, i) => transportLines(transport, exampleMac(i), platform, config))
}

function transportLines(transport: TransportConfig, mac: string, platform: NodeJS.Platform, config: Config): string[] {
  switch (transport.type) {
    case 'unixgram':
      return transport.role === 'connect' ? connectLines(transport, mac) : listenLines(transport, mac, platform)
    case 'udp':
      return udpLines(transport, mac)
    case 'stream':
      return streamLines(transport, mac)
    case 'fd':
      return [`${transport.name}: descriptor ${transport.fd}, whatever the other end of it is`]
    case 'vxlan':
      return vxlanLines(transport)
    case 'websocket':
      return webSocketLines(transport, config)
  }
}

function listenLines(transport: UnixgramListenConfig, mac: string, platform: NodeJS.Platform): string[] {
  const { name, listen, peers, maxPeers } = transport
  const local = exampleLocalPath(transport, platform)
  const limit = maxSocketPathBytes(platform)
  const others = listen.includes(',')
    ? ['vfkit    cannot: its options have no way to write the comma in this path', 'krunkit  cannot, likewise']
    : [
        `vfkit    --device ${shell(`virtio-net,unixSocketPath=${listen},mac=${mac}`)}`,
        `krunkit  --device ${shell(`virtio-net,type=unixgram,path=${listen},mac=${mac},offloading=off,vfkitMagic=on`)}`,
        '         offloading must be off: its guests would send 64 KiB frames with unfinished checksums',
      ]
  return [
    `${name}: unixgram at ${listen}, ${peers === 'one' ? 'one VM' : `up to ${maxPeers} VMs`}`,
    `  QEMU     ${qemu(local, listen, mac)}`,
    peers === 'one'
      ? `           local.path: at most ${limit} bytes`
      : `           each VM needs its own local.path (at most ${limit} bytes) and its own mac`,
    ...others.map(line => `  ${line}`),
  ]
}

function connectLines({ name, connect, handshake }: UnixgramConnectConfig, mac: string): string[] {
  const heading = `${name}: unixgram from ${connect.local} to ${connect.remote}`
  const listener =
    handshake === 'vfkit'
      ? `  gvproxy  -listen-vfkit ${shell(`unixgram://${connect.remote}`)}`
      : `  QEMU     ${qemu(connect.remote, connect.local, mac)}`
  return [heading, listener, '  vfkit, krunkit: they connect to a socket that listens; use a transport with listen']
}

function udpLines(transport: UdpConfig, mac: string): string[] {
  if (transport.role === 'group') {
    const remote = qemuInet('remote', transport.group)
    return [`${transport.name}: udp to the group ${transport.group}`, `  QEMU     ${qemuDgram(remote, mac)}`]
  }
  const { name, listen, peers, learnPeers } = transport
  const local = qemuInet('local', peers[0] ?? listen.replace(/\d+$/, '7001'))
  const others = learnPeers ? `, and whoever sends from ${transport.allowedSources.join(', ')}` : ''
  return [
    `${name}: udp at ${listen}${peers.length === 0 ? '' : `, for ${peers.join(', ')}`}${others}`,
    `  QEMU     ${qemuDgram(`${local},${qemuInet('remote', listen)}`, mac)}`,
  ]
}

function vxlanLines({ name, vni, listen, remotes }: VxlanConfig): string[] {
  const { host, port } = parseHostPort(listen) ?? { host: listen, port: 4789 }
  return [
    `${name}: vxlan ${vni} at ${listen}, to ${remotes.length === 0 ? 'whoever sends' : remotes.join(', ')}`,
    `  Linux    ip link add vxlan${vni} type vxlan id ${vni} dstport ${port} remote ${host} local ${parseHostPort(remotes[0] ?? '')?.host ?? 'ADDRESS'}`,
  ]
}

/** The address of the HTTP server is known once it listens; until then, as it is configured. */
function webSocketLines(transport: WebSocketConfig, { http }: Config): string[] {
  const { name } = transport
  if (transport.role === 'connect') return [`${name}: websocket to ${withoutSecrets(transport.connect)}`]
  const { address, tls, path, token } = transport
  if (address === null && http === false) return [`${name}: websocket at ${path}, which needs the HTTP server`]
  const host = address === null ? (http || { listen: '' }).listen : formatTcp(address)
  const scheme = (address === null ? (http || { tls: null }).tls : tls) === null ? 'ws' : 'wss'
  const url = `${scheme}://${host}${path}`
  return [
    `${name}: websocket at ${url}`,
    `  v86      net_device: { type: "ne2k", relay_url: "${url}" }${token === null ? '' : '   cannot show the token'}`,
  ]
}

function formatTcp({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function qemuInet(end: 'local' | 'remote', text: string): string {
  const { host, port } = parseHostPort(text) ?? { host: text, port: 0 }
  return `${end}.type=inet,${end}.host=${host},${end}.port=${port}`
}

/** `-netdev socket` is for QEMU before 7.2, and for TCP only. */
function streamLines(config: StreamConfig, mac: string): string[] {
  const listens = config.role === 'listen'
  const text = listens ? config.listen : config.connect
  const address = parseStreamAddress(text)
  const heading = listens
    ? `${config.name}: stream at ${text}, ${config.peers === 'one' ? 'one VM' : `up to ${config.maxPeers} VMs`}`
    : `${config.name}: stream to ${text}`
  if (address === undefined || address.type === 'systemd') return [heading]
  if (config.framing !== 'qemu') return [heading, `  framing ${config.framing}, which QEMU does not speak`]
  const device = `-device virtio-net-pci,netdev=net0,mac=${mac}`
  const ends =
    address.type === 'unix'
      ? `addr.type=unix,addr.path=${qemuValue(address.path)}`
      : `addr.type=inet,addr.host=${address.host},addr.port=${address.port}`
  const lines = [
    heading,
    `  QEMU     -netdev ${shell(`stream,id=net0,server=${listens ? 'off' : 'on'},${ends}`)} ${device}`,
  ]
  if (address.type === 'tcp') {
    const ends = `${listens ? 'connect' : 'listen'}=${address.host}:${address.port}`
    lines.push(`           -netdev ${shell(`socket,id=net0,${ends}`)} ${device}`)
  }
  if (address.type === 'unix') {
    if (!listens) lines.push(`  passt    --socket ${shell(address.path)}`)
    else if (!text.includes(',')) {
      lines.push(`  krunkit  --device ${shell(`virtio-net,type=unixstream,path=${text},mac=${mac},offloading=off`)}`)
    }
  }
  return lines
}

function qemu(local: string, remote: string, mac: string): string {
  return qemuDgram(
    `local.type=unix,local.path=${qemuValue(local)},remote.type=unix,remote.path=${qemuValue(remote)}`,
    mac,
  )
}

function qemuDgram(ends: string, mac: string): string {
  return `-netdev ${shell(`dgram,id=net0,${ends}`)} -device virtio-net-pci,netdev=net0,mac=${mac}`
}

/** Beside the switch's socket, or in /tmp where that would be too long. */
function exampleLocalPath({ name, listen }: UnixgramListenConfig, platform: NodeJS.Platform): string {
  const beside = join(dirname(listen), `${name}-vm1.sock`)
  return Buffer.byteLength(beside) <= maxSocketPathBytes(platform) && beside !== listen
    ? beside
    : `/tmp/${name}-vm1.sock`
}

/** In the range that QEMU uses for its guests; the fifth octet is the transport, the sixth the VM. */
function exampleMac(transport: number): string {
  return `52:54:00:00:${(transport & 0xff).toString(16).padStart(2, '0')}:01`
}

function qemuValue(path: string): string {
  return path.replaceAll(',', ',,')
}

function shell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
