/**
 * Writes what is made from the code: config/tapswitch.schema.json, and in docs/ the table of options, the reference of the API and the
 * table of findings, each between two comments.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './install.mjs'

const program = join(root, 'dist/cli/main.js')
const output = (...args) => execFileSync(process.execPath, [program, ...args], { encoding: 'utf8' })

export async function generate() {
  const schema = join(root, 'config/tapswitch.schema.json')
  writeFileSync(schema, output('schema'))
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome')
  execFileSync(process.execPath, [biome, 'format', '--write', schema], { stdio: ['ignore', 'ignore', 2] })
  fill('docs/configuration.md', 'options', output('schema', '--markdown').trimEnd())
  fill('docs/api.md', 'reference', output('openapi', '--markdown').trimEnd())
  const { findingTable } = await import(join(root, 'dist/finding-codes.js'))
  fill('docs/operations.md', 'findings', findingTable())
}

/** Puts the content between the comments of this name. */
function fill(path, name, content) {
  const file = join(root, path)
  const text = readFileSync(file, 'utf8')
  const parts = new RegExp(`(<!-- ${name} -->\\n)[\\s\\S]*?(\\n<!-- /${name} -->)`)
  if (!parts.test(text)) throw new Error(`${path} has no <!-- ${name} --> and <!-- /${name} -->`)
  writeFileSync(
    file,
    text.replace(parts, (_, open, close) => open + content + close),
  )
}
