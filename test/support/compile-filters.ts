/**
 * Compiles every expression of a JSON array on stdin in this process, for a test that watches it. Prints how many
 * libpcap took, and how long.
 */
import { readFileSync } from 'node:fs'
import { loadPcap } from '#src/os/pcap.js'
import { checkBpf, FilterError } from '#src/wire/bpf.js'

export interface Compiled {
  accepted: number
  slowestMs: number
  slowest: string
}

const expressions = JSON.parse(readFileSync(0, 'utf8')) as string[]
const compiled: Compiled = { accepted: 0, slowestMs: 0, slowest: '' }
for (const expression of expressions) {
  const began = performance.now()
  try {
    checkBpf(loadPcap().compile(expression))
    compiled.accepted++
  } catch (error) {
    if (!(error instanceof FilterError)) throw error
  }
  const took = performance.now() - began
  if (took > compiled.slowestMs) Object.assign(compiled, { slowestMs: took, slowest: expression })
}
console.log(JSON.stringify(compiled))
