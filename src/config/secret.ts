/** How an option names a secret: by the file or the environment variable that holds it. */
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { allow, allowHidden, group, text } from './fields.js'

export type SecretSource =
  /** Absolute path. */
  { readonly file: string } | { readonly env: string }

const fromFile = group({
  file: text('the path of a file').describe(
    'File that holds it, mode 0600 or stricter; relative paths start at the configuration file.',
  ),
})

const fromEnvironment = group({
  env: allow('the name of an environment variable', z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/)).describe(
    'Environment variable that holds it.',
  ),
})

export const secret = () =>
  allowHidden(
    '{ file: <path> } or { env: <name> }; the secret itself is not written here',
    z.union([fromFile, fromEnvironment]),
  )

/** `configFile` absolute. */
export function resolveSecret(input: z.output<ReturnType<typeof secret>>, configFile: string): SecretSource {
  return 'file' in input ? { file: resolve(dirname(configFile), input.file) } : input
}
