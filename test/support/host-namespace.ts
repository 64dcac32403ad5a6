/**
 * A namespace that stands for a host: a loopback of its own with a name server and a web server on it, and a cable to a
 * world outside with a web server, too. Programs started with `through` have it as their network, and its name server
 * as theirs.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { Netns, netnsNeeds } from './netns.js'
import type { Needs } from './requires.js'
import { allOf } from './requires.js'
import { startWebServer, type WebServer } from './web-server.js'

export const hostNamespaceNeeds: Needs = allOf(netnsNeeds, { commands: ['dnsmasq', 'busybox'] })

const OUTSIDE = '192.0.2.2'
const names = [
  ...['--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--user=root', '--no-resolv', '--no-hosts'],
  ...['--listen-address=127.0.0.1', '--bind-interfaces', `--address=/web.test/${OUTSIDE}`],
]

export interface HostNamespace {
  readonly netns: Netns
  /** In front of a command. */
  readonly through: readonly string[]
  /** On the host's loopback. */
  readonly local: WebServer
  /** Behind the cable. */
  readonly outside: WebServer
  close(): void
}

export async function makeHost(bytes: number): Promise<HostNamespace> {
  const netns = Netns.make()
  const world = Netns.make()
  const configuration = `/etc/netns/${netns.name}`
  const closers = [
    () => netns.remove(),
    () => world.remove(),
    () => rmSync(configuration, { recursive: true, force: true }),
  ]
  const close = () => {
    for (const closer of closers.splice(0).reverse()) closer()
  }
  try {
    netns.cable('out', world, 'in')
    netns.ip('address', 'add', '192.0.2.1/24', 'dev', 'out')
    world.ip('address', 'add', `${OUTSIDE}/24`, 'dev', 'in')
    // ip netns exec puts what is here over /etc.
    mkdirSync(configuration, { recursive: true })
    writeFileSync(`${configuration}/resolv.conf`, 'nameserver 127.0.0.1\n')
    const dns = netns.spawn('dnsmasq', ...names)
    closers.push(() => dns.kill('SIGKILL'))
    const local = await startWebServer(netns, '127.0.0.1', 8080, bytes)
    closers.push(local.stop)
    const outside = await startWebServer(world, OUTSIDE, 80, bytes)
    closers.push(outside.stop)
    return { netns, through: ['ip', 'netns', 'exec', netns.name], local, outside, close }
  } catch (error) {
    close()
    throw error
  }
}
