import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import type { z } from 'zod'
import type { Config } from '#src/config/config.js'
import { confinementFault, forwardFault } from '#src/config/confinement.js'
import { confinementClasses } from '#src/config/confinement-classes.js'
import { interfaceForms } from '#src/config/interfaces.js'
import { loadConfigText } from '#src/config/load.js'
import { transportForms } from '#src/config/transports.js'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'tapswitch-confined-')))
after(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
for (const name of ['run', 'run/vms', 'more', 'secrets', 'outside']) mkdirSync(at(name), { mode: 0o700 })
mkdirSync(at('run/shared'))
chmodSync(at('run/shared'), 0o777)
symlinkSync(at('outside'), at('run/away'))
writeFileSync(at('outside/x.sock'), '')
symlinkSync(at('outside/x.sock'), at('run/link.sock'))

const configWith = (http: object): Config =>
  loadConfigText(JSON.stringify({ runtimeDir: at('run'), http }), at('switch.yaml'))
const byDefault = configWith({})

/** Each with an entry that gives it. */
function assertRefused(entry: object, why: RegExp, config = byDefault): void {
  assert.match(confinementFault(entry, config) ?? 'allowed', why, JSON.stringify(entry))
}
function assertAllowed(entry: object, config = byDefault): void {
  assert.equal(confinementFault(entry, config), undefined, JSON.stringify(entry))
}

/** Every option of a schema, by its path; entries of lists have that of the list. */
function optionsOf(schema: z.core.$ZodType, path = ''): string[] {
  const { def } = schema._zod as unknown as { def: Record<string, unknown> & { type: string } }
  switch (def.type) {
    case 'object':
      return Object.entries(def.shape as Record<string, z.core.$ZodType>).flatMap(([key, inner]) =>
        optionsOf(inner, path === '' ? key : `${path}.${key}`),
      )
    case 'union':
      return (def.options as z.core.$ZodType[]).flatMap(option => optionsOf(option, path))
    case 'array':
      return optionsOf(def.element as z.core.$ZodType, path)
    case 'optional':
    case 'default':
    case 'prefault':
    case 'nullable':
      return optionsOf(def.innerType as z.core.$ZodType, path)
    default:
      return [path]
  }
}

describe('the classes of options', () => {
  const forms = [...transportForms, ...interfaceForms] as unknown as z.ZodObject[]
  const byType = new Map<string, Set<string>>()
  for (const form of forms) {
    const [type] = [...(form.shape.type as z.ZodLiteral<string>).values]
    byType.set(type, new Set([...(byType.get(type) ?? []), ...optionsOf(form)]))
  }
  const prefixes = (option: string) => option.split('.').map((_, i, parts) => parts.slice(0, i + 1).join('.'))

  it('have one for every option of every type', () => {
    const without = [...byType].flatMap(([type, options]) =>
      [...options]
        .filter(option => !prefixes(option).some(each => confinementClasses[type]?.[each] !== undefined))
        .map(option => `${type}: ${option}`),
    )
    assert.deepEqual(without, [])
  })

  it('have none for an option that is not there', () => {
    const stale = Object.entries(confinementClasses).flatMap(([type, classes]) => {
      const known = new Set([...(byType.get(type) ?? [])].flatMap(prefixes))
      return Object.keys(classes)
        .filter(option => !known.has(option))
        .map(option => `${type}: ${option}`)
    })
    assert.deepEqual(stale, [])
  })

  it('refuse an option that has none', () => {
    assertRefused(
      { type: 'unixgram', name: 'x', colour: 'blue' },
      /^colour: "blue" may be in the configuration file only/,
    )
    assertRefused({ type: 'pigeon', name: 'x' }, /may be in the configuration file only/)
  })
})

describe('a path over the API', () => {
  const listen = (path: string) => ({ name: 'x', type: 'unixgram', listen: path })

  it('may be in the runtime directory, at any depth, and where it is allowed', () => {
    for (const path of ['x.sock', 'vms/x.sock', at('run/x.sock'), 'no/such/x.sock']) assertAllowed(listen(path))
    assertRefused(listen(at('more/x.sock')), /is outside .*http\.allowedPaths says/)
    assertAllowed(listen(at('more/x.sock')), configWith({ allowedPaths: [at('more')] }))
  })

  it('may not leave it, by name, by "..", or through a link', () => {
    for (const path of ['/run/docker.sock', '/tmp/x.sock', at('runx/x.sock'), at('switch.yaml')]) {
      assertRefused(listen(path), /^listen: .* is outside/)
    }
    assertRefused(listen('../outside/x.sock'), /has "\.\." in it/)
    assertRefused(listen('vms/../x.sock'), /has "\.\." in it/)
    assertRefused(listen('away/x.sock'), /is outside/)
    assertRefused(listen('link.sock'), /is a link/)
  })

  it('may not be in a folder that other users may write to, who could put a link there later', () => {
    assertRefused(listen('shared/x.sock'), /lies in ".*shared", which other users may write to/)
    assertRefused(listen(at('run/shared/x.sock')), /other users/, configWith({ allowedPaths: [at('run/shared')] }))
  })

  it('is looked at in every option that has one', () => {
    const away = '/run/docker.sock'
    for (const entry of [
      { type: 'unixgram', connect: { local: away, remote: 'b.sock' } },
      { type: 'unixgram', connect: { local: 'a.sock', remote: away } },
      { type: 'stream', listen: away },
      { type: 'stream', connect: away },
      { type: 'websocket', listen: '127.0.0.1:8080/x', tls: { certificate: away, key: at('run/key') } },
      { type: 'websocket', listen: '127.0.0.1:8080/x', tls: { certificate: at('run/cert'), key: '/etc/shadow' } },
      { type: 'websocket', connect: 'wss://127.0.0.1/x', ca: '/etc/shadow' },
      {
        type: 'slirp',
        forwards: [
          { host: '127.0.0.1:2222', guest: '10.0.2.15:22' },
          { host: away, guest: '10.0.2.15:1' },
        ],
      },
      { type: 'auto', forwards: [{ host: away, guest: '10.0.2.15:22' }] },
    ]) {
      assertRefused({ name: 'x', ...entry }, /is outside .*http\.allowedPaths/)
    }
    assert.match(forwardFault(away, byDefault) ?? '', /is outside/)
    assert.equal(forwardFault('127.0.0.1:2222', byDefault), undefined)
  })
})

describe('a secret over the API', () => {
  const withToken = (token: object) => ({ name: 'x', type: 'websocket', connect: 'ws://127.0.0.1:9/x', token })

  it('is read from the folder that is configured for it, and from nowhere else', () => {
    assertRefused(withToken({ file: at('secrets/a.token') }), /http\.secretsDir, which is not set/)
    const config = configWith({ secretsDir: 'secrets' })
    assertAllowed(withToken({ file: at('secrets/a.token') }), config)
    assertAllowed(withToken({ file: 'secrets/a.token' }), config)
    for (const file of ['/etc/shadow', at('run/control.token'), 'secrets/../switch.yaml']) {
      assertRefused(withToken({ file }), /is outside|has "\.\."/, config)
    }
  })

  it('is never an environment variable', () => {
    const config = configWith({ secretsDir: 'secrets' })
    assertRefused(
      withToken({ env: 'AWS_SECRET_ACCESS_KEY' }),
      /environment variables are read for the configuration file only/,
      config,
    )
  })
})

describe('an address over the API', () => {
  const entries = (host: string) => [
    { type: 'stream', connect: `${host}:9000` },
    { type: 'udp', listen: '127.0.0.1:7000', peers: [`${host}:9000`] },
    { type: 'vxlan', vni: 1, listen: '127.0.0.1', remotes: [`${host}:9000`] },
    { type: 'websocket', connect: `ws://${host}:9000/x` },
  ]

  it('to send to is on loopback while callers are on this machine, and elsewhere where it is allowed', () => {
    for (const entry of entries('127.0.0.1')) assertAllowed(entry)
    for (const entry of entries('192.0.2.7')) {
      assertRefused(entry, /"[^"]*192\.0\.2\.7[^"]*" is not on loopback, .*http\.allowedTargets/)
      assertAllowed(entry, configWith({ allowedTargets: ['192.0.2.0/24'] }))
      assertAllowed(entry, configWith({ allowedTargets: ['192.0.2.7:9000'] }))
      assertRefused(entry, /allowedTargets/, configWith({ allowedTargets: ['192.0.2.7:9001', '192.0.3.0/24'] }))
    }
    for (const host of ['0.0.0.0', '169.254.169.254', 'metadata.internal']) {
      assertRefused({ type: 'websocket', connect: `ws://${host}/` }, /allowedTargets/)
      assertRefused({ type: 'stream', connect: `${host}:80` }, /allowedTargets/)
    }
    assertAllowed(
      { type: 'websocket', connect: 'wss://Relay.example/x' },
      configWith({ allowedTargets: ['relay.example:443'] }),
    )
    assertRefused(
      { type: 'websocket', connect: 'ws://relay.example/x' },
      /allowed/,
      configWith({ allowedTargets: ['relay.example:443'] }),
    )
  })

  it('on loopback is off limits while callers may be elsewhere', () => {
    const token = { file: 'x.token' }
    for (const http of [{ allowedHosts: ['switch.example'] }, { listen: '0.0.0.0:9676', token }]) {
      for (const entry of entries('127.0.0.1'))
        assertRefused(entry, /is on loopback while the API is reached from elsewhere/, configWith(http))
    }
  })

  it('to listen on is on loopback with a port that takes no privilege, and elsewhere where it is allowed', () => {
    const listens = (host: string, port: number) => [
      { type: 'stream', listen: `${host}:${port}`, allowRemote: true },
      { type: 'udp', listen: `${host}:${port}`, peers: [] },
      { type: 'vxlan', vni: 1, listen: `${host}:${port}`, remotes: [] },
      { type: 'websocket', listen: `${host}:${port}/x` },
      { type: 'slirp', forwards: [{ host: `${host}:${port}`, guest: '10.0.2.15:22' }] },
    ]
    for (const entry of listens('127.0.0.1', 7000)) assertAllowed(entry)
    for (const entry of listens('127.0.0.1', 53)) assertRefused(entry, /has a port below 1024/)
    for (const entry of listens('0.0.0.0', 7000)) {
      assertRefused(entry, /is not on loopback/)
      assertAllowed(entry, configWith({ allowedTargets: ['0.0.0.0:7000'] }))
    }
    assertAllowed({ type: 'websocket', listen: '/ethernet' })
    assertRefused({ type: 'stream', listen: 'systemd:vms' }, /inherited socket/)
  })

  it('may learn from loopback only, and send to a group that stays on this machine', () => {
    const learning = (source: string) => ({
      type: 'udp',
      listen: '127.0.0.1:7000',
      learnPeers: true,
      allowedSources: [source],
    })
    assertAllowed(learning('127.0.0.0/8'))
    for (const source of ['0.0.0.0/0', '10.0.0.0/8', '126.0.0.0/7']) assertRefused(learning(source), /allowedTargets/)
    assertAllowed(learning('10.1.0.0/16'), configWith({ allowedTargets: ['10.0.0.0/8'] }))
    assertRefused(learning('10.0.0.0/7'), /allowedTargets/, configWith({ allowedTargets: ['10.0.0.0/8'] }))
    assertAllowed({ type: 'udp', group: '230.0.0.1:1234', interface: '127.0.0.1' })
    assertRefused({ type: 'udp', group: '230.0.0.1:1234' }, /allowedTargets/)
    assertRefused({ type: 'udp', group: '230.0.0.1:1234', interface: 'eth0' }, /allowedTargets/)
  })
})

describe('what the file alone may say', () => {
  it('is another framing, an inherited descriptor, and the loopback of the host', () => {
    assertRefused(
      { type: 'stream', connect: '127.0.0.1:9', framing: 'hyperkit' },
      /^framing: "hyperkit" may be in the configuration file only/,
    )
    assertAllowed({ type: 'stream', connect: '127.0.0.1:9', framing: 'qemu' })
    assertRefused({ type: 'fd', fd: 7 }, /may be in the configuration file only/)
    assertRefused({ type: 'slirp', hostLoopback: true }, /^hostLoopback: true may be/)
    assertAllowed({ type: 'slirp', hostLoopback: false, network: '10.0.2.0/24' })
  })

  it('is the types of interface that reach into the network of the host, unless it allows them', () => {
    const tap = { name: 'x', type: 'tap', mode: 'shared', address: '10.9.0.1/24' }
    assertRefused(tap, /"tap" reaches into the network of this host, .*http\.allowedInterfaces/)
    assertAllowed(tap, configWith({ allowedInterfaces: ['tap'] }))
    assertRefused({ type: 'vmnet', mode: 'bridged', bridgeInterface: 'en0' }, /http\.allowedInterfaces/)
    assertRefused({ type: 'slirp' }, /http\.allowedInterfaces/, configWith({ allowedInterfaces: [] }))
  })
})
