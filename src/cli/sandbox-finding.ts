/** What doctor says of Landlock, which the sandbox of sandbox.ts is made of. Linux only. */
import type { Finding } from './findings.js'
import type { Machine } from './machine.js'

export async function sandboxFinding(machine: Machine): Promise<Finding> {
  const name = 'sandbox'
  const version = await machine.landlockVersion().catch(() => 0)
  if (version > 0) return { name, status: 'ok', text: `Landlock, version ${version}` }
  return {
    name,
    status: 'warn',
    text: 'no Landlock: code that gets into the process has all files of its user',
    mend: 'Linux 5.13 or newer with landlock in lsm= of the kernel command line; run as a user of its own',
  }
}
