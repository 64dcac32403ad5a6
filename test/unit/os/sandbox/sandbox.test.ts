/** Each restriction, taken on by a child process: what was allowed before is refused after. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { landlockVersion } from '#src/os/sandbox/landlock.js'
import { assemble, seccompIsKnownHere } from '#src/os/sandbox/seccomp.js'
import { runModule } from '../../../support/confined.js'
import { requirements } from '../../../support/requires.js'

const linux = requirements({ platform: 'linux' })
const landlock = linux.skip ? linux : { skip: landlockVersion() === 0 && 'needs a kernel with Landlock' }
const seccomp = linux.skip ? linux : { skip: !seccompIsKnownHere() && 'needs x86_64 or arm64' }

/** Lines that the module printed; fails with what it said when it did not end well. */
function linesOf(text: string, options: { uid?: number } = {}): string[] {
  const { status, signal, stdout, stderr } = runModule(text, options)
  assert.equal(status, 0, `${signal ?? status}: ${stderr}`)
  return stdout.trim().split('\n')
}

describe('Landlock', { ...landlock, timeout: 60_000 }, () => {
  let folder: string

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-sandbox-'))
    writeFileSync(join(folder, 'file'), 'text')
  })
  after(() => rmSync(folder, { recursive: true }))

  const attempts = () => `
    attempt('read listed', () => void fs.readFileSync('${folder}/file'))
    attempt('write listed', () => fs.writeFileSync('${folder}/file', 'x'))
    attempt('make listed', () => fs.writeFileSync('${folder}/other', 'x'))
    attempt('read elsewhere', () => void fs.readFileSync('/etc/passwd'))
    attempt('list elsewhere', () => void fs.readdirSync('/'))
  `
  const restrict = (allow: string) => `
    import fs from 'node:fs'
    import { restrictFiles } from '#src/os/sandbox/landlock.js'
    const passedOver = { path: '/no/such/folder', allow: ['read'] }
    restrictFiles({ rules: [{ path: '${'FOLDER'}', allow: ${allow} }, passedOver], scoped: true })
  `

  it('lets a thread read what is listed, and nothing else', () => {
    assert.deepEqual(linesOf(restrict("['read']").replace('FOLDER', folder) + attempts()), [
      'read listed: ok',
      'write listed: EACCES',
      'make listed: EACCES',
      'read elsewhere: EACCES',
      'list elsewhere: EACCES',
    ])
  })

  it('lets it write and make files where that is listed', () => {
    const lines = linesOf(restrict("['read', 'write', 'create']").replace('FOLDER', folder) + attempts())
    assert.deepEqual(lines.slice(0, 4), [
      'read listed: ok',
      'write listed: ok',
      'make listed: ok',
      'read elsewhere: EACCES',
    ])
  })

  it('stays with the process that takes its place, in all of its threads', () => {
    const second = `
      const fs = require('node:fs')
      fs.readFile('/etc/passwd', error => {
        console.log('thread pool: ' + (error === null ? 'ok' : error.code))
        console.log('pid: ' + (process.pid === Number(process.env.BEFORE)))
        console.log('environment: ' + Object.keys(process.env))
      })`
    const lines = linesOf(`
      import { restrictFiles } from '#src/os/sandbox/landlock.js'
      import { replaceProcess } from '#src/os/sandbox/exec.js'
      const listed = ['/lib', '/lib64', '/usr', '/etc/ssl/openssl.cnf', process.execPath]
      const rules = listed.map(path => ({ path, allow: ['read', 'execute'] }))
      restrictFiles({ rules })
      const error = replaceProcess({
        file: process.execPath,
        args: ['--eval', ${JSON.stringify(second)}],
        environment: { BEFORE: String(process.pid) },
        descriptors: [0, 1, 2],
      })
      console.log('execve', error)
    `)
    assert.deepEqual(lines, ['thread pool: EACCES', 'pid: true', 'environment: BEFORE'])
  })
})

describe('a seccomp filter', { ...seccomp, timeout: 60_000 }, () => {
  const everything =
    "Object.keys(syscallNumbers).filter(name => !['execve', 'getppid', 'socket', 'openat'].includes(name))"
  const install = (allow: string) => `
    import fs from 'node:fs'
    import { Worker } from 'node:worker_threads'
    import { execFileSync } from 'node:child_process'
    import { errno, libc, socket } from '#src/os/libc.js'
    import { installFilter } from '#src/os/sandbox/seccomp.js'
    import { syscallNumbers } from '#src/os/sandbox/syscalls.js'
    const raw = libc.func('long syscall(long n, long a, long b)')
    const call = number => (raw(number, 0, 0) < 0 ? 'errno ' + errno() : 'ok')
    console.log('installed: ' + installFilter({ allow: [...${everything}, ${allow}], kill: ['execve'] }))
  `

  it('refuses a call that is not listed, a newer one as not known, and looks at arguments', () => {
    const lines = linesOf(`${install(`
        { call: 'socket', when: { argument: 0, isOneOf: [2, 10] } },
        { call: 'openat', when: { argument: 2, hasNoneOf: 0x43 } }`)}
      attempt('getppid', () => call(syscallNumbers.getppid[process.arch === 'x64' ? 0 : 1]))
      attempt('a call of the future', () => call(100_000))
      attempt('an IPv4 socket', () => (socket(2, 1, 0) >= 0 ? 'ok' : errno()))
      attempt('an IPv6 socket', () => (socket(10, 2, 0) >= 0 ? 'ok' : errno()))
      attempt('a unix socket', () => (socket(1, 1, 0) >= 0 ? 'ok' : errno()))
      attempt('read a file', () => void fs.readFileSync('/etc/passwd'))
      attempt('write a file', () => fs.writeFileSync('/dev/null', ''))
    `)
    assert.deepEqual(lines, [
      'installed: true',
      'getppid: errno 1',
      'a call of the future: errno 38',
      'an IPv4 socket: ok',
      'an IPv6 socket: ok',
      'a unix socket: 1',
      'read a file: ok',
      'write a file: EPERM',
    ])
  })

  it('holds for threads that ran before it was installed', () => {
    // The thread pool runs, and is asleep, when the filter comes.
    const lines = linesOf(`
      import fs from 'node:fs'
      await fs.promises.readFile('/etc/hostname').catch(() => {})
      const { installFilter } = await import('#src/os/sandbox/seccomp.js')
      const { syscallNumbers } = await import('#src/os/sandbox/syscalls.js')
      installFilter({ allow: Object.keys(syscallNumbers).filter(name => name !== 'openat' && name !== 'open'), kill: [] })
      console.log(await fs.promises.readFile('/etc/passwd').then(() => 'ok', error => error.code))
    `)
    assert.deepEqual(lines, ['EPERM'])
  })

  it('ends a process that makes a call no correct one makes, by SIGSYS', () => {
    const { signal } = runModule(`${install("'socket', 'openat'")}
      const execve = libc.func('int execve(const char *file, uintptr_t args, uintptr_t environment)')
      execve('/bin/true', 0, 0)
      console.log('still there')
    `)
    assert.equal(signal, 'SIGSYS')
  })

  it('has numbers for both processors', () => {
    const options = { allow: ['read', 'open', 'epoll_wait'], kill: ['execve'] } as const
    assert.ok(assemble(options, 'x64').length > assemble(options, 'arm64').length, 'arm64 has no open')
    assert.throws(() => assemble(options, 'riscv64'), /riscv64/)
  })
})

describe('giving up privileges', { ...linux, timeout: 60_000 }, () => {
  it('no_new_privs and the death of the parent are set and seen', () => {
    const lines = linesOf(`
      import * as p from '#src/os/sandbox/prctl.js'
      console.log(p.hasNoNewPrivileges(), p.setNoNewPrivileges(), p.hasNoNewPrivileges())
      console.log(p.dieWithParent(9), p.forbidDumps())
    `)
    assert.deepEqual(lines, ['false true true', 'true true'])
  })

  it('a limit is lowered for good, and never above the hard one', () => {
    const lines = linesOf(
      `
      import { limitOf, setLimit } from '#src/os/sandbox/limits.js'
      import { closeSync, openSync } from 'node:fs'
      console.log(setLimit('core', 0), limitOf('core').hard, setLimit('core', 1000))
      console.log(setLimit('descriptors', 64), limitOf('descriptors').soft)
      const open = []
      attempt('descriptors', () => { for (let i = 0; i < 100; i++) open.push(openSync('/dev/null')) })
      console.log(open.length < 64)
    `,
      { uid: 65_534 },
    )
    assert.deepEqual(lines, ['0 0 0', '64 64', 'descriptors: EMFILE', 'true'])
  })

  it(
    'capabilities are gone but for the one that is kept, also over a change of user',
    requirements({ root: true }),
    () => {
      const lines = linesOf(`
      import * as c from '#src/os/sandbox/capabilities.js'
      import { createServer } from 'node:net'
      const { netBindService, netRaw, setUid } = c.Capability
      console.log(c.hasCapability(netBindService), c.hasCapability(netRaw))
      c.keepCapabilitiesOverUserChange()
      c.dropBoundingSet([netBindService])
      process.setgroups([]); process.setgid(65534); process.setuid(65534)
      c.keepCapabilities([netBindService])
      console.log(c.hasCapability(netBindService), c.hasCapability(netRaw), c.hasCapability(setUid))
      attempt('root again', () => process.setuid(0))
    `)
      assert.deepEqual(lines, ['true true', 'true false false', 'root again: EPERM'])
    },
  )

  it('descriptors reach the program that takes its place only where they are named', () => {
    const lines = linesOf(`
      import { openSync } from 'node:fs'
      import { libc } from '#src/os/libc.js'
      import { replaceProcess } from '#src/os/sandbox/exec.js'
      const fcntl = libc.func('int fcntl(int fd, int command, ...)')
      const kept = openSync('package.json'), closed = openSync('package.json')
      for (const fd of [kept, closed]) fcntl(fd, 2, 'int', 0)
      // The number of one that is closed may be the new program's by then, for something else.
      const shown = 'for (const fd of process.argv.slice(1)) try { console.log(fs.readlinkSync("/proc/self/fd/" + fd) .endsWith("package.json")) } catch { console.log(false) }'
      const args = ['--eval', shown, '--', String(kept), String(closed)]
      replaceProcess({ file: process.execPath, args, environment: {}, descriptors: [0, 1, 2, kept] })
    `)
    assert.deepEqual(lines, ['true', 'false'])
  })
})
