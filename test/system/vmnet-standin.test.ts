/**
 * The stand-in for vmnet.framework, checked by a C program with clang's own blocks (test/vmnet-standin/checks): alone,
 * under the sanitizers, and under valgrind. What the other vmnet tests prove rests on it.
 */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { type Needs, requirements } from '../support/requires.js'
import { standinChecks, standinLibrary, standinNeeds } from '../support/vmnet-standin.js'

const timeoutMs = 120_000
const checkNeeds: Needs = {
  ...standinNeeds,
  commands: [...(standinNeeds.commands ?? []), 'valgrind', 'nm'],
  files: [...(standinNeeds.files ?? []), { path: '/usr/share/doc/libclang-rt-*', from: 'libclang-rt-dev' }],
}

interface Outcome {
  code: number | null
  output: string
  errors: string
}

function run(command: string, args: string[] = []): Promise<Outcome> {
  return new Promise(resolve => {
    const options = { timeout: timeoutMs, maxBuffer: 16 << 20 }
    const child = execFile(command, args, options, (_error, output, errors) =>
      resolve({ code: child.exitCode, output, errors }),
    )
  })
}

function assertAllPassed({ code, output, errors }: Outcome): void {
  assert.equal(code, 0, errors)
  assert.match(output, /^\d+ checks, \d+ objects made, 0 left$/m)
}

describe('the stand-in for vmnet', { ...requirements(checkNeeds), timeout: 2 * timeoutMs }, () => {
  it('passes its checks, and 1,000 start and stop cycles do not make it grow', async t => {
    const outcome = await run(standinChecks('checks'))
    assertAllPassed(outcome)
    t.diagnostic(outcome.output.match(/.* grew the process by .*/)?.[0] ?? '')
  })

  it('passes them under the address and undefined behaviour sanitizers', async () => {
    assertAllPassed(await run(standinChecks('checks-address')))
  })

  it('passes them under the thread sanitizer', async () => {
    assertAllPassed(await run(standinChecks('checks-thread')))
  })

  it('passes them under valgrind, which finds nothing lost and nothing left', async () => {
    const args = ['--quiet', '--leak-check=full', '--show-leak-kinds=all', '--errors-for-leak-kinds=all']
    assertAllPassed(await run('valgrind', [...args, '--error-exitcode=9', standinChecks('checks')]))
  })

  it('has the network objects of macOS 26 in one variant only', () => {
    const exported = (path: string) =>
      execFileSync('nm', ['-D', '--defined-only', path], { encoding: 'utf8' })
        .trim()
        .split('\n')
        .map(line => line.split(' ').at(-1) as string)
        .sort()
    const full = exported(standinLibrary())
    const classic = exported(standinLibrary('vmnet-classic.so'))
    const added = full.filter(name => !classic.includes(name))
    assert.equal(added.length, 18)
    assert.deepEqual(
      added.filter(name => !/^vmnet_(network_|interface_start_with_network$)/.test(name)),
      [],
    )
    for (const name of [
      'vmnet_start_interface',
      'vmnet_mtu_key',
      'xpc_dictionary_apply',
      'dispatch_queue_create',
      'CFRelease',
    ])
      assert.ok(classic.includes(name), name)
  })
})
