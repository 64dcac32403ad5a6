/**
 * A program of its own, for tests of what a process may no longer do: a module text that runs in a child of Node.js.
 */
import { spawnSync } from 'node:child_process'
import { projectRoot } from './project-root.js'

export interface Ended {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** `text` may import `#src/...`; `attempt(fn)` in it prints "ok", or the code of the error that `fn` threw. */
export function runModule(text: string, { uid }: { uid?: number } = {}): Ended {
  const prelude = `
    const attempt = (what, fn) => {
      try { const got = fn(); console.log(what + ': ' + (got === undefined ? 'ok' : got)) }
      catch (error) { console.log(what + ': ' + (error.code ?? error.message)) }
    }
  `
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', `${text.replace(/^(?=\s*(?!import\b|$))/m, prelude)}`],
    { cwd: projectRoot, encoding: 'utf8', timeout: 30_000, env: {}, ...(uid === undefined ? {} : { uid, gid: uid }) },
  )
  return { status, signal, stdout, stderr }
}
