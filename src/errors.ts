/**
 * Errors whose message is meant for the operator: one sentence, no stack. Everything else that is thrown is a fault of
 * ours. `code` is stable; scripts and the documentation may rely on it.
 */

/** Something the operator can mend: an option that does not fit this machine, a path that cannot be opened. */
export class OperatorError extends Error {
  override readonly name: string = 'OperatorError'
  readonly code: string = 'TAPSWITCH_OPERATOR'
  readonly exitCode: number = 1
  /** The option it is about, as in `transports[0].listen`. */
  readonly path: string | undefined
  readonly value: unknown

  constructor(message: string, about: { path?: string; value?: unknown; cause?: unknown } = {}) {
    super(
      about.path === undefined ? message : `${about.path}: ${message}`,
      'cause' in about ? { cause: about.cause } : {},
    )
    this.path = about.path
    this.value = about.value
  }
}

/** One thing wrong with a configuration. `path` is empty when it is about the file as a whole. */
export interface Problem {
  readonly path: string
  readonly message: string
}

/** A configuration that is not valid; the message has one line for each problem. */
export class ConfigError extends OperatorError {
  override readonly name = 'ConfigError'
  override readonly code = 'TAPSWITCH_CONFIG'
  override readonly exitCode = 2
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(problems.map(problemLine).join('\n'))
    this.problems = problems
  }
}

/** The command line is wrong. */
export class UsageError extends OperatorError {
  override readonly name = 'UsageError'
  override readonly code = 'TAPSWITCH_USAGE'
  override readonly exitCode = 2
}

export function problemLine({ path, message }: Problem): string {
  return path === '' ? message : `${path}: ${message}`
}
