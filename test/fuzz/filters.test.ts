/** Random expressions for libpcap, as clients of the API may send them: none crashes it, none has a name looked up. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { FilterError } from '#src/wire/bpf.js'
import { checkFilterText } from '#src/wire/filter-text.js'
import type { Compiled } from '../support/compile-filters.js'
import { filterExpressions, primitives } from '../support/filter-expressions.js'
import { Random } from '../support/random.js'
import { requirements } from '../support/requires.js'
import { scale } from '../support/scale.js'
import { seed } from '../support/seed.js'

const EXPRESSIONS = 3000 * scale
const program = fileURLToPath(new URL('../support/compile-filters.js', import.meta.url))
/** Files that the C library opens to find a host, a network or a MAC address by name. */
const lookups = /\/etc\/(hosts|resolv\.conf|networks|ethers|host\.conf)/

const words = [
  ...'host net port portrange proto protochain gateway src dst and or not ( ) ! && || [ ] & | + - * / % ^ << >> = != < >'.split(
    ' ',
  ),
  ...'ether link wlan less greater len mask vm1 vm.example localhost cafe: fe80:: ::1 10.0.0.1 10.0 10 0x800 80 53-60'.split(
    ' ',
  ),
  ...'4294967295 52:54:00:00:00:01 5254.0000.0001 525400000001 1.2.3.4.5.6 tcp[13] ip[0:4] \\tcp \\vm1 http domain tcp-syn'.split(
    ' ',
  ),
  ...'type subtype dir addr1 ra ta lane vci ifname on reason rset action inbound oam sio a.b a-b a_b -a .a _a $1 # : , "x"'.split(
    ' ',
  ),
]

function soup(random: Random): string {
  const parts = Array.from({ length: random.between(1, 24) }, () =>
    random.between(0, 2) === 0 ? random.pick(primitives) : random.pick(words),
  )
  return parts.join(random.pick([' ', ' ', ' and ', ' or ', ''])).slice(0, 1024)
}

/** A valid expression with one character changed, doubled or left out. */
function mutated(random: Random, expression: string): string {
  const at = random.between(0, expression.length - 1)
  const other = random.pick([...' ()[]!&|:.-_/\\a0x', ''])
  return expression.slice(0, at) + other + expression.slice(at + random.between(0, 1))
}

function passesCheck(expression: string): boolean {
  try {
    checkFilterText(expression)
    return true
  } catch (error) {
    if (error instanceof FilterError) return false
    throw error
  }
}

describe('random filter expressions', requirements({ commands: ['strace'] }), () => {
  /** Compiles them in one process, and returns the files it opened meanwhile. */
  async function watched(expressions: string[]): Promise<{ compiled: Compiled; opened: string }> {
    const folder = await mkdtemp(join(tmpdir(), 'tapswitch-filters-'))
    try {
      const trace = join(folder, 'trace')
      const args = ['-f', '-qq', '-e', 'trace=open,openat', '-o', trace, process.execPath, program]
      const child = spawn('strace', args, { stdio: ['pipe', 'pipe', 'inherit'] })
      const exited = once(child, 'exit')
      child.stdin.end(JSON.stringify(expressions))
      const chunks: Buffer[] = []
      for await (const chunk of child.stdout) chunks.push(chunk)
      assert.deepEqual(await exited, [0, null])
      return { compiled: JSON.parse(Buffer.concat(chunks).toString()), opened: await readFile(trace, 'utf8') }
    } finally {
      await rm(folder, { recursive: true })
    }
  }

  it('crash nothing and look no name up', async () => {
    const random = new Random(seed)
    const valid = filterExpressions(random, 1000)
    const expressions = Array.from({ length: EXPRESSIONS }, () =>
      random.between(0, 1) === 0 ? soup(random) : mutated(random, random.pick(random.pick([valid, primitives]))),
    ).filter(passesCheck)
    assert.ok(expressions.length > EXPRESSIONS / 4, `only ${expressions.length} reach libpcap`)
    const { compiled, opened } = await watched(expressions)
    assert.ok(compiled.accepted > EXPRESSIONS / 40, `libpcap takes only ${compiled.accepted}`)
    assert.deepEqual(
      opened.split('\n').filter(line => lookups.test(line)),
      [],
    )
  })

  it('would be seen to look a name up', async () => {
    const { opened } = await watched(['host localhost'])
    assert.match(opened, lookups)
  })
})
