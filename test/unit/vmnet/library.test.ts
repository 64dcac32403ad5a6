import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { bridgeableInterfaces } from '#src/vmnet/bridges.js'
import { openVmnetLibrary, vmnetLibraryPath } from '#src/vmnet/library.js'
import { bridged } from '#src/vmnet/options.js'
import { VmnetInterface } from '#src/vmnet/vmnet-interface.js'
import { projectRoot } from '../../support/project-root.js'
import { requirements } from '../../support/requires.js'
import {
  libraryVariable,
  standinEnvironment,
  standinLibrary,
  standinNeeds,
  standinReport,
} from '../../support/vmnet-standin.js'
import { useStandin } from './use-standin.js'

describe('where vmnet is', () => {
  it('is the framework on a Mac, nowhere else, and what the variable names everywhere', () => {
    assert.equal(vmnetLibraryPath({}, 'darwin'), '/System/Library/Frameworks/vmnet.framework/vmnet')
    assert.equal(vmnetLibraryPath({}, 'linux'), undefined)
    assert.equal(vmnetLibraryPath({ [libraryVariable]: '' }, 'linux'), undefined)
    for (const platform of ['linux', 'darwin'] as const) {
      assert.equal(vmnetLibraryPath({ [libraryVariable]: '/tmp/x.so' }, platform), '/tmp/x.so')
    }
  })

  it('is said when it does not load', () => {
    assert.throws(() => openVmnetLibrary('/nowhere/vmnet.so'), /^OperatorError: vmnet cannot be loaded.*nowhere/)
  })

  it('is nowhere on Linux, in one sentence', requirements({ platform: 'linux' }), async () => {
    const before = process.env[libraryVariable]
    delete process.env[libraryVariable]
    try {
      await assert.rejects(VmnetInterface.start(), {
        message: 'vmnet is a part of macOS and this is linux; type: tap, slirp or auto do the same here',
      })
    } finally {
      if (before !== undefined) process.env[libraryVariable] = before
    }
  })
})

describe('the library', requirements(standinNeeds), () => {
  it('knows its keys, and not those of a later system', () => {
    useStandin()
    const library = openVmnetLibrary()
    assert.equal(library.key('operation_mode'), 'vmnet_operation_mode')
    assert.equal(library.key('of_the_year_3000'), undefined)
    assert.notEqual(library.network, null)
    assert.equal(openVmnetLibrary(standinLibrary('vmnet-classic.so')).network, null)
  })

  it('lists the interfaces that can be bridged, and another one is refused by name', async () => {
    const standin = useStandin('bridgeable en0 en7')
    assert.deepEqual(bridgeableInterfaces(), ['en0', 'en7'])
    await assert.rejects(VmnetInterface.start(bridged('en9')), {
      message: 'bridgeInterface: "en9" cannot be joined; en0, en7 can be',
    })
    await standin.nothingLeft()
  })

  it('is one of the package, for others to use', () => {
    const program = `
      import { bridged, host, shared, VmnetError, VmnetInterface } from 'tapswitch/vmnet'
      const up = await VmnetInterface.start(shared().withMtu(1400))
      process.stdout.write(String(up.maxPacketSize))
      await up.stop()`
    const env = { ...process.env, [libraryVariable]: standinLibrary() }
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      cwd: projectRoot,
      env,
      encoding: 'utf8',
    })
    assert.deepEqual([child.stderr, child.stdout, child.status], ['', '1414', 0])
  })
})

describe('a process that ends with an interface up', requirements(standinNeeds), () => {
  const ends = (how: string, commands = '') => {
    const program = `
      import { VmnetInterface } from 'tapswitch/vmnet'
      const up = await VmnetInterface.start()
      up.notify(() => {})
      ${how}`
    const folder = mkdtempSync(join(tmpdir(), 'tapswitch-'))
    const report = join(folder, 'report')
    try {
      const child = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
        cwd: projectRoot,
        env: { ...process.env, ...standinEnvironment(`report ${report}; ${commands}`) },
        encoding: 'utf8',
        timeout: 60_000,
      })
      const { started, stopped } = existsSync(report) ? standinReport(report) : {}
      return { status: child.status, signal: child.signal, stderr: child.stderr, started, stopped }
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  it('by process.exit has told vmnet to stop it', () => {
    const { status, stopped, stderr } = ends('process.exit(3)')
    assert.deepEqual([status, stopped, stderr], [3, 1, ''])
  })

  it('by an error has too', () => {
    const { status, stderr, stopped } = ends('throw new Error("because")')
    assert.deepEqual([status, stopped], [1, 1])
    assert.match(stderr, /because/)
  })

  it('in the middle of events has too', () => {
    const { status, stopped, stderr } = ends(
      `
      let events = 0
      up.notify(() => { if (events++ > 20) process.exit(4); up.write(up.read()) })
      up.write(Array.from({ length: 50 }, () => new Uint8Array(60)))`,
      'backend loop',
    )
    assert.deepEqual([status, stopped, stderr], [4, 1, ''])
  })

  it('does not end by itself, as with a listening socket', () => {
    const { status, signal } = ends('setTimeout(() => process.kill(process.pid, "SIGTERM"), 300)')
    assert.deepEqual([status, signal], [null, 'SIGTERM'])
  })
})
