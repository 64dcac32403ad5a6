/**
 * Whom the process runs as once everything is open (root is needed to open, not to switch), and whether it gives up
 * files.
 */
import type { z } from 'zod'
import { account, group, oneOf } from './fields.js'
import { resolveAccount, type Scope } from './scope.js'

export const sandboxModes = ['auto', 'off'] as const
export type SandboxMode = (typeof sandboxModes)[number]

export const processOptions = group({
  user: account('user')
    .optional()
    .describe(
      'User the switch goes on as, once all sockets and interfaces are open; only where root starts it. Default: the user that started it.',
    ),
  group: account('group').optional().describe("Group it goes on as. Default: the user's own."),
  sandbox: oneOf(sandboxModes)
    .default('auto')
    .describe(
      '`auto`: on Linux with Landlock the process, and what it starts, can use only the files that this configuration names and those of the system. `off`: whatever its user may.',
    ),
})

export interface ProcessConfig {
  readonly uid: number
  readonly gid: number
}

/** Null when it stays who it is. */
export function resolveProcess(
  input: z.output<typeof processOptions>,
  scope: Pick<Scope, 'around' | 'problems'>,
): ProcessConfig | null {
  const { around, problems } = scope
  if (input.user === undefined) {
    if (input.group !== undefined) problems.push({ path: 'process.group', message: 'only with process.user' })
    return null
  }
  const uid = resolveAccount('user', input.user, 'process.user', scope)
  const own = uid === null ? undefined : around.primaryGroup(uid)
  const gid =
    input.group === undefined ? own : (resolveAccount('group', input.group, 'process.group', scope) ?? undefined)
  if (uid === null) return null
  if (gid === undefined) {
    if (input.group === undefined)
      problems.push({ path: 'process.group', message: `missing, user ${uid} has no group of its own` })
    return null
  }
  return { uid, gid }
}
