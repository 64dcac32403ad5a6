/** Processes below another one, as /proc shows them. Linux only. */
import { readFileSync } from 'node:fs'

/** Pids of all processes below this one that run this program. */
export function descendants(pid: number, program: string): number[] {
  return childrenOf(pid).flatMap(child => [
    ...(read(`/proc/${child}/comm`).trim() === program ? [child] : []),
    ...descendants(child, program),
  ])
}

/** Whether a process has ended; its parent may not have asked yet. */
export function isGone(pid: number): boolean {
  const status = read(`/proc/${pid}/status`)
  return status === '' || /^State:\s+[ZX]/m.test(status)
}

function childrenOf(pid: number): number[] {
  return read(`/proc/${pid}/task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
