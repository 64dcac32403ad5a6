/** `tapswitch doctor`: what this machine can do, one line each, and how to mend what it can't. Changes nothing. */
import { defaultRuntimeDir, loadConfig } from '../config/load.js'
import type { FindingView } from '../control/view.js'
import { ConfigError, problemLine } from '../errors.js'
import { printable } from './client/table.js'
import { type Finding, inspect } from './findings.js'
import { realMachine } from './machine.js'
import type { Output } from './output.js'
import { peerFiles } from './peer-files.js'

/** Returns 1 when something makes `run` impossible, else 0. */
export async function doctor(file: string, options: { json: boolean }, output: Output): Promise<number> {
  const { findings, runtimeDir, peerDescriptors } = inspectConfig(file)
  findings.push(...(await inspect(realMachine, { runtimeDir, peerDescriptors })), ...(await inspectRunning(file)))
  output.out(options.json ? JSON.stringify({ findings }, null, 2) : findings.map(findingText).join('\n'))
  return findings.some(finding => finding.status === 'fail') ? 1 : 0
}

/** Milliseconds; a switch that does not answer by then is not asked. */
const ASK_MS = 2000

/** What is wrong with the switch that runs with this file; nothing where none answers. */
async function inspectRunning(file: string): Promise<Finding[]> {
  const name = 'running switch'
  try {
    const [{ ApiClient }, { resolveTarget }] = await Promise.all([
      import('./client/api-client.js'),
      import('./client/target.js'),
    ])
    const api = new ApiClient(resolveTarget({ config: file }, process.env), ASK_MS)
    const { findings } = (await api.get('/v1/findings')) as { findings: FindingView[] }
    if (findings.length === 0) return [{ name, status: 'ok', text: 'nothing is wrong' }]
    return findings.map(({ subject, message }) => ({
      name,
      status: 'warn',
      text: printable(`${subject.kind} ${subject.name}: ${message}`),
    }))
  } catch {
    return []
  }
}

/** With a configuration that is not valid, the rest is looked at as if it were empty. */
function inspectConfig(file: string): { findings: Finding[]; runtimeDir: string; peerDescriptors: readonly number[] } {
  try {
    const config = loadConfig(file)
    const finding: Finding = { name: 'configuration', status: 'ok', text: config.file }
    return { findings: [finding], runtimeDir: config.runtimeDir, peerDescriptors: peerFiles(config) }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const findings = error.problems.map(
      (problem): Finding => ({ name: 'configuration', status: 'fail', text: problemLine(problem) }),
    )
    return { findings, runtimeDir: defaultRuntimeDir(), peerDescriptors: [] }
  }
}

export function findingText({ name, status, text, mend }: Finding): string {
  const line = `${status.padEnd(4)}  ${name.padEnd(18)}  ${text}`
  return mend === undefined ? line : `${line}\n${' '.repeat(26)}to mend: ${mend}`
}
