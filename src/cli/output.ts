/** Where a command writes what it has to say; the log is apart from it. */
export interface Output {
  /** One line, or several, to stdout. */
  out(text: string): void
  /** One line, or several, to stderr. */
  err(text: string): void
}

export const processOutput: Output = {
  out: text => void process.stdout.write(`${text}\n`),
  err: text => void process.stderr.write(`${text}\n`),
}
