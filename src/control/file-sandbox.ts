/** What the control plane asks of the sandbox that the process puts itself in; cli/sandbox.ts has it. */
import type { UsedFile } from '../config/used-files.js'

export interface FileSandbox {
  /** Called once, when the runtime directory is there and before anything is opened. */
  enter(): Promise<void>
  /** Why one of these files cannot be used, in one sentence with the way out; undefined when they can. */
  fault(files: readonly UsedFile[]): string | undefined
}

/** Where there is none. */
export const noSandbox: FileSandbox = { enter: async () => {}, fault: () => undefined }
