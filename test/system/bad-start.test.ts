/**
 * A switch that cannot start says why in one line for each thing that is wrong, and leaves everything as it found it:
 * exit 2 for a configuration that can never work, exit 1 for one that does not work here and now.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { Lab } from '../support/lab.js'
import { requirements } from '../support/requires.js'
import { SwitchProcess, type SwitchProcessOptions } from '../support/switch-process.js'

const vms = { name: 'vms', type: 'unixgram', listen: 'vms.sock' }
const vm1 = { name: 'vm1', type: 'unixgram', listen: 'vm1.sock', peers: 'one' }

const isRoot = process.getuid?.() === 0
const asOrdinaryUser = isRoot ? { commands: ['setpriv'] } : {}
/** Without these two capabilities, root may do what anybody may. */
const overrides = '-dac_override,-dac_read_search'
const withoutOverride: SwitchProcessOptions = isRoot
  ? { through: ['setpriv', `--bounding-set=${overrides}`, `--inh-caps=${overrides}`] }
  : {}

describe('a switch that cannot start', { timeout: 120_000 }, () => {
  let lab: Lab
  const servers: Server[] = []

  beforeEach(async () => {
    lab = await Lab.open()
  })

  afterEach(async () => {
    for (const server of servers.splice(0)) server.close()
    await lab.close()
  })

  async function listen(where: { path: string } | { host: string; port: number }): Promise<Server> {
    const server = createServer().listen(where)
    servers.push(server)
    await once(server, 'listening')
    return server
  }

  /** Every file below the lab's folder, with what could have been changed of it. */
  function inventory(): string[] {
    return readdirSync(lab.folder, { recursive: true, encoding: 'utf8' })
      .filter(name => name !== 'switch.yaml')
      .map(name => {
        const { ino, mode, uid } = lstatSync(lab.path(name))
        return `${name} ${ino} ${mode.toString(8)} ${uid}`
      })
      .sort()
  }

  async function refuses(
    config: object,
    code: number,
    lines: (string | RegExp)[],
    options: SwitchProcessOptions = {},
  ): Promise<void> {
    const before = inventory()
    const { errors, output, ...status } = await SwitchProcess.refused(lab.folder, config, options)
    const messages = errors.map(({ msg }) => msg)
    assert.deepEqual(status, { code, signal: null }, messages.join('\n'))
    assert.equal(messages.length, lines.length, messages.join('\n'))
    for (const [i, line] of lines.entries()) {
      if (typeof line === 'string') assert.equal(messages[i], line)
      else assert.match(messages[i] ?? '', line)
    }
    assert.equal(output, '')
    assert.deepEqual(inventory(), before)
  }

  describe('because of its configuration', () => {
    it('names an option that does not exist', () =>
      refuses({ transports: [{ ...vms, maxPeer: 3 }] }, 2, [
        'transports[0].maxPeer: unknown option, did you mean maxPeers?',
      ]))

    it('names a value of the wrong type', () =>
      refuses({ switch: { maxFrameSize: 'large' }, transports: [vms] }, 2, [
        'switch.maxFrameSize: "large" is not a whole number from 64 to 65550',
      ]))

    it('names a name that is taken', () =>
      refuses({ transports: [vms, { ...vm1, name: 'vms' }] }, 2, [
        'transports[1].name: "vms" is taken by transports[0].name; names must differ',
      ]))

    it('names a path that is too long for a socket address', () =>
      refuses({ transports: [{ ...vms, listen: `${'x'.repeat(110)}.sock` }] }, 2, [
        /^transports\[0\]\.listen: "\/.*" is \d+ bytes, at most (107|103) allowed on this system$/,
      ]))

    it('has a line for each of several faults', () =>
      refuses({ transports: [{ ...vms, listen: 7 }, vm1], http: { listen: 'nowhere' }, logs: {} }, 2, [
        /^transports\[0\]\.listen: 7 is not the path of a unix socket$/,
        /^logs: unknown option, did you mean log\?$/,
      ]))
  })

  describe('because of the machine', () => {
    it('names a directory that does not exist', () =>
      refuses({ transports: [vm1, { ...vms, listen: 'missing/vms.sock' }], http: false }, 1, [
        `transport "vms": the directory "${lab.path('missing')}" does not exist`,
      ]))

    it('names a file where a directory should be', async () => {
      writeFileSync(lab.path('file'), '')
      await refuses({ transports: [vm1, { ...vms, listen: 'file/vms.sock' }], http: false }, 1, [
        `transport "vms": "${lab.path('file')}" is not a directory`,
      ])
      await refuses({ runtimeDir: lab.path('file'), transports: [vms], http: false }, 1, [
        `runtimeDir: "${lab.path('file')}" is not a directory`,
      ])
    })

    it('names a directory it may not write to', requirements(asOrdinaryUser), async () => {
      mkdirSync(lab.path('locked'), { mode: 0o500 })
      await refuses(
        { transports: [vm1, { ...vms, listen: 'locked/vms.sock' }], http: false },
        1,
        [`transport "vms": the directory "${lab.path('locked')}" is not writable for us`],
        withoutOverride,
      )
      await refuses(
        { runtimeDir: lab.path('locked/run'), transports: [vms], http: false },
        1,
        [/^runtimeDir: cannot make ".*\/locked\/run": EACCES: permission denied/],
        withoutOverride,
      )
    })

    it('names a runtime directory that others may enter', async () => {
      mkdirSync(lab.path('open'))
      chmodSync(lab.path('open'), 0o755)
      await refuses({ runtimeDir: lab.path('open'), transports: [vms], http: false }, 1, [
        `runtimeDir: "${lab.path('open')}" has mode 0755, must be 0700 (chmod 700 "${lab.path('open')}")`,
      ])
    })

    it('names a runtime directory that is not its own', requirements({ root: true }), async () => {
      mkdirSync(lab.path('theirs'), { mode: 0o700 })
      chownSync(lab.path('theirs'), 65_534, 65_534)
      await refuses({ runtimeDir: lab.path('theirs'), transports: [vms], http: false }, 1, [
        `runtimeDir: "${lab.path('theirs')}" belongs to user 65534, must be ours (user 0); set another runtimeDir`,
      ])
    })

    it('removes the runtime directory it made', () =>
      refuses(
        {
          runtimeDir: lab.path('new'),
          transports: [vms, { ...vm1, listen: lab.path('no/such/vm1.sock') }],
          http: false,
        },
        1,
        [`transport "vm1": the directory "${lab.path('no/such')}" does not exist`],
      ))

    it('names an HTTP address that is in use', async () => {
      const server = await listen({ host: '127.0.0.1', port: 0 })
      const address = server.address()
      assert.ok(typeof address === 'object' && address !== null)
      const where = `127.0.0.1:${address.port}`
      await refuses({ transports: [vms, vm1], http: { listen: where } }, 1, [
        `http.listen: ${where} is in use by another program; stop it or choose another address`,
      ])
      await listen({ path: lab.path('http.sock') })
      await refuses({ transports: [vms, vm1], http: { listen: lab.path('http.sock') } }, 1, [
        `http.listen: another program is listening on ${lab.path('http.sock')}`,
      ])
    })

    for (const transport of [vms, vm1]) {
      it(`names a socket path that somebody uses (${transport.name})`, async () => {
        const path = lab.path(transport.listen)
        const other = lab.qemu(transport.listen, 'nobody.sock')
        await refuses({ transports: [transport], http: false }, 1, [
          `transport "${transport.name}": another process listens on "${path}"`,
        ])
        other.close({ unlink: true })
        await listen({ path })
        await refuses({ transports: [transport], http: false }, 1, [
          `transport "${transport.name}": another process listens on "${path}"`,
        ])
      })
    }

    it('leaves alone what is no socket', async () => {
      writeFileSync(lab.path('vms.sock'), 'precious')
      await refuses({ transports: [vm1, vms], http: false }, 1, [
        `transport "vms": "${lab.path('vms.sock')}" exists and is not a socket; it is left alone`,
      ])
      await refuses({ transports: [vm1], http: { listen: lab.path('vms.sock') } }, 1, [
        `http.listen: ${lab.path('vms.sock')} exists and is not a socket; remove it or choose another path`,
      ])
    })
  })
})
