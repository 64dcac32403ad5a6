/** What goes wrong for `tapswitch capture`: each time one sentence, exit code 1, and a file of whole blocks. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { controlTokenOf } from '../support/control-tokens.js'
import { eventually } from '../support/eventually.js'
import { ALICE, arpReply, BOB } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import { numberedRun } from '../support/numbered.js'
import { readPcapng } from '../support/pcapng.js'
import { projectRoot } from '../support/project-root.js'
import type { RawPeer } from '../support/raw-peer.js'
import { requirements } from '../support/requires.js'
import type { SwitchProcess } from '../support/switch-process.js'

const program = join(projectRoot, 'dist/cli/main.js')

describe('tapswitch capture', { timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let alice: RawPeer

  beforeEach(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
    alice = lab.qemu('alice.sock', 'vms.sock')
    await alice.send(arpReply)
    await eventually(
      () => running.api.ports(),
      ports => ports.length === 1,
      'the port of alice',
    )
  })

  afterEach(() => lab.close())

  /** The command's exit code and what it says on stderr; `shell` may limit it first. */
  function capture(target: string, shell = ''): { done: Promise<{ code: number; said: string }> } {
    const command = `${shell} exec "$0" "$@"`
    const args = [program, 'capture', '-u', running.api.url, '-w', target]
    const child = spawn('/bin/bash', ['-c', command, process.execPath, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, TAPSWITCH_TOKEN: controlTokenOf(running.api.url) },
    })
    lab.onClose(async () => child.kill('SIGKILL'))
    const done = (async () => {
      const exited = once(child, 'exit')
      const chunks: Buffer[] = []
      for await (const chunk of child.stderr ?? []) chunks.push(chunk)
      return { code: (await exited)[0] as number, said: Buffer.concat(chunks).toString() }
    })()
    return { done }
  }

  const begun = () =>
    eventually(
      () => running.api.captures(),
      captures => captures.length === 1,
      'the capture',
      30_000,
    )
  const ended = () =>
    eventually(
      () => running.api.captures(),
      captures => captures.length === 0,
      'the end of the capture',
      30_000,
    )

  it('says why a file cannot be made, and starts no capture', async () => {
    for (const [target, why] of [
      [lab.path('missing/lab.pcapng'), 'its folder does not exist'],
      [lab.folder, 'it is a folder'],
    ]) {
      const { code, said } = await capture(target).done
      assert.deepEqual([code, said], [1, `cannot write the capture to ${target}: ${why}\n`])
    }
  })

  it(
    'says that the disk is full, and ends the capture',
    requirements({ files: [{ path: '/dev/full', from: 'base-files' }] }),
    async () => {
      const { code, said } = await capture('/dev/full').done
      assert.deepEqual(
        [code, said.split('\n').at(-2)],
        [1, 'cannot write the capture to /dev/full: no space is left on the device'],
      )
      await ended()
    },
  )

  it('leaves whole blocks when the file may not grow any more', async () => {
    const target = lab.path('limited.pcapng')
    // 16 blocks of 1024 bytes; the signal of the limit is ignored, so that writing fails.
    const { done } = capture(target, 'trap "" XFSZ; ulimit -f 16;')
    await begun()
    for (let sent = 0; sent < 400; sent += 50)
      for (const frame of numberedRun(BOB, ALICE, sent, 50)) await alice.send(frame)
    const { code, said } = await done
    assert.equal(code, 1)
    assert.match(said.split('\n').at(-2) ?? '', /^cannot write the capture to .*limited\.pcapng: /)
    const { packets } = readPcapng(await readFile(target))
    assert.ok(packets.length > 50, `${packets.length} packets`)
    await ended()
  })

  it('says that the switch is gone, and keeps what came until then', async () => {
    const target = lab.path('cut.pcapng')
    const { done } = capture(target)
    await begun()
    await alice.send(arpReply)
    await eventually(
      () => stat(target),
      ({ size }) => size > 150,
      'a frame in the file',
    )
    running.kill('SIGKILL')
    const { code, said } = await done
    assert.equal(code, 1)
    assert.match(
      said.split('\n').at(-2) ?? '',
      /^the connection to the switch at .* broke off .*holds what came until then, \d+ bytes$/,
    )
    assert.equal(readPcapng(await readFile(target)).packets.length, 1)
  })
})
