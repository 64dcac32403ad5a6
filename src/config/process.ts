/** Whom the process runs as once everything is open: root is needed to open, not to switch. */
import type { z } from 'zod'
import { account, group } from './fields.js'
import { resolveAccount, type Scope } from './scope.js'

export const processOptions = group({
  user: account('user').describe(
    'User the switch goes on as, once all sockets and interfaces are open; only where root starts it.',
  ),
  group: account('group').optional().describe("Group it goes on as. Default: the user's own."),
})

export interface ProcessConfig {
  readonly uid: number
  readonly gid: number
}

/** Null when it stays who it is. */
export function resolveProcess(
  input: z.output<typeof processOptions> | undefined,
  scope: Pick<Scope, 'around' | 'problems'>,
): ProcessConfig | null {
  if (input === undefined) return null
  const { around, problems } = scope
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
