/** The child process of filter-compiler.ts: reads an expression from stdin, prints the program or why there is none. */
import { readFileSync } from 'node:fs'
import { OperatorError } from '../errors.js'
import { FilterError } from '../wire/bpf.js'
import type { CompilerAnswer } from './filter-compiler.js'
import { loadPcap } from './pcap.js'

function answerTo(expression: string): CompilerAnswer {
  try {
    return { program: [...loadPcap().compile(expression)] }
  } catch (error) {
    if (error instanceof FilterError) return { refused: error.message }
    if (error instanceof OperatorError) return { missing: error.message }
    throw error
  }
}

console.log(JSON.stringify(answerTo(readFileSync(0, 'utf8'))))
