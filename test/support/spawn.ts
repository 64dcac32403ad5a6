import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { findCommand } from './requires.js'

const setpriv = process.platform === 'linux' ? findCommand('setpriv') : undefined

/**
 * As `spawn`, for a child that must not outlive this process. A test that runs into its time limit is killed without a
 * chance to tidy up, so on Linux the kernel is asked to do it (prctl PR_SET_PDEATHSIG); elsewhere only an orderly end
 * of this process takes the child along. The pid is the program's own: setpriv becomes it.
 */
export function spawnBound(command: string, args: string[], options: SpawnOptions): ChildProcess {
  if (setpriv !== undefined) return spawn(setpriv, ['--pdeathsig', 'KILL', command, ...args], options)
  const child = spawn(command, args, options)
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('close', () => process.off('exit', kill))
  return child
}
