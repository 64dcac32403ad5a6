/**
 * Numbers of users and groups. The files know the local ones; the system's own tools also know those of a directory
 * service.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

export type AccountKind = 'user' | 'group'

/** Number of the user or group with this name, or undefined when there is none. */
export function accountNumber(kind: AccountKind, name: string): number | undefined {
  // On macOS /etc/passwd lists system accounts only; what counts is the directory service.
  const fromFile = process.platform === 'darwin' ? undefined : numberInFile(kind, name)
  return fromFile ?? numberFromSystem(kind, name)
}

/** Number of a user's own group, or undefined when there is no such user. */
export function primaryGroup(uid: number): number | undefined {
  return lastNumber(run('id', ['-g', '--', String(uid)]))
}

/** Looks in text of the form of /etc/passwd or /etc/group: `name:password:number:...`. */
export function numberInAccountFile(text: string, name: string): number | undefined {
  for (const line of text.split('\n')) {
    const [account, , number] = line.split(':')
    if (account === name && number !== undefined && /^\d+$/.test(number)) return Number(number)
  }
  return undefined
}

function numberInFile(kind: AccountKind, name: string): number | undefined {
  try {
    return numberInAccountFile(readFileSync(kind === 'user' ? '/etc/passwd' : '/etc/group', 'utf8'), name)
  } catch {
    return undefined
  }
}

function numberFromSystem(kind: AccountKind, name: string): number | undefined {
  if (kind === 'user') return lastNumber(run('id', ['-u', '--', name]))
  if (process.platform === 'darwin') {
    return lastNumber(run('dscl', ['.', '-read', `/Groups/${name}`, 'PrimaryGroupID']))
  }
  return numberInAccountFile(run('getent', ['group', name]), name)
}

function lastNumber(text: string): number | undefined {
  const match = /(\d+)\s*$/.exec(text)
  return match === null ? undefined : Number(match[1])
}

/** Output of a tool, empty when it failed: then nobody has that name. */
function run(tool: string, args: readonly string[]): string {
  try {
    return execFileSync(tool, args, { encoding: 'utf8', timeout: 5000, stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return ''
  }
}
