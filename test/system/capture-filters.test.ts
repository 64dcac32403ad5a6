/** The filters of captures against tcpdump: each expression must let the same frames through. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { loadPcap } from '#src/os/pcap.js'
import { compileBpf, FilterError } from '#src/wire/bpf.js'
import { checkFilterText } from '#src/wire/filter-text.js'
import { filterExpressions } from '../support/filter-expressions.js'
import { type OddFrame, oddFrames } from '../support/odd-frames.js'
import { Random } from '../support/random.js'
import { requirements } from '../support/requires.js'
import { scale } from '../support/scale.js'
import { seed } from '../support/seed.js'

const EXPRESSIONS = Math.round(500 * scale)
/** Processes of tcpdump. */
const AT_ONCE = 4
/**
 * libpcap refuses some combinations, as `vlan` behind `mpls`; more of them means that the list proves less than it
 * says.
 */
const MOST_REFUSED = 0.3

describe('a capture filter', requirements({ commands: ['tcpdump'] }), () => {
  let folder: string
  let file: string
  let frames: OddFrame[]

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-filters-'))
    file = join(folder, 'odd.pcap')
    frames = oddFrames(new Random(seed), 2000)
    writeFileSync(file, pcapOf(frames))
  })

  after(() => rmSync(folder, { recursive: true }))

  /** The numbers of the frames that tcpdump lets through; null when it refuses the expression. */
  async function tcpdump(expression: string): Promise<number[] | null> {
    const input = openSync(file, 'r')
    const child = spawn('tcpdump', ['-n', '-r', '-', '-w', '-', '--', expression], { stdio: [input, 'pipe', 'ignore'] })
    closeSync(input)
    const exited = once(child, 'exit')
    const chunks: Buffer[] = []
    for await (const chunk of child.stdout ?? []) chunks.push(chunk)
    const [code] = await exited
    return code === 0 ? numbersIn(Buffer.concat(chunks)) : null
  }

  function ours(expression: string): number[] | null {
    try {
      checkFilterText(expression)
      const matches = compileBpf(loadPcap().compile(expression))
      // Frames lie anywhere in memory, and what lies before and after them must not matter.
      const memory = new Uint8Array(16_384).fill(0xa5)
      return frames.flatMap(({ bytes, length }, number) => {
        const offset = (number * 7) % 64
        memory.set(bytes, offset)
        return matches(memory, offset, bytes.length, length) ? [number] : []
      })
    } catch (error) {
      if (error instanceof FilterError) return null
      throw error
    }
  }

  it(`lets the frames through that tcpdump lets through, for ${EXPRESSIONS} expressions`, async () => {
    const expressions = filterExpressions(new Random(seed), EXPRESSIONS)
    let refused = 0
    let telling = 0
    const differing: object[] = []
    const results = new Map<string, number[] | null>()
    const waiting = [...expressions]
    const work = async () => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) results.set(next, await tcpdump(next))
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    for (const expression of expressions) {
      const [mine, theirs] = [ours(expression), results.get(expression) ?? null]
      if (theirs === null) refused++
      else if (theirs.length > 0 && theirs.length < frames.length) telling++
      if (JSON.stringify(mine) !== JSON.stringify(theirs)) differing.push(difference(expression, mine, theirs))
    }
    assert.deepEqual(differing, [])
    assert.ok(refused <= MOST_REFUSED * expressions.length, `${refused} are refused`)
    assert.ok(telling >= 0.5 * expressions.length, `only ${telling} tell frames apart`)
  })
})

function difference(expression: string, mine: number[] | null, theirs: number[] | null): object {
  if (mine === null || theirs === null) return { expression, refusedBy: mine === null ? 'us' : 'tcpdump' }
  return {
    expression,
    onlyMine: mine.filter(number => !theirs.includes(number)).slice(0, 5),
    onlyTheirs: theirs.filter(number => !mine.includes(number)).slice(0, 5),
  }
}

/** A pcap file; the number of a frame is its time in seconds. */
function pcapOf(frames: readonly OddFrame[]): Buffer {
  const header = Buffer.alloc(24)
  for (const [i, word] of [0xa1b2c3d4, 0x0004_0002, 0, 0, 262_144, 1].entries()) header.writeUInt32LE(word, 4 * i)
  const records = frames.map(({ bytes, length }, number) => {
    const record = Buffer.alloc(16 + bytes.length)
    for (const [i, word] of [number, 0, bytes.length, length].entries()) record.writeUInt32LE(word, 4 * i)
    record.set(bytes, 16)
    return record
  })
  return Buffer.concat([header, ...records])
}

function numbersIn(pcap: Buffer): number[] {
  const numbers: number[] = []
  for (let at = 24; at < pcap.length; at += 16 + pcap.readUInt32LE(at + 8)) numbers.push(pcap.readUInt32LE(at))
  return numbers
}
