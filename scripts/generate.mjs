/** Writes what is made from the code: config/tapswitch.schema.json, and the table of options in docs/configuration.md. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './install.mjs'

const program = join(root, 'dist/cli/main.js')
const output = (...args) => execFileSync(process.execPath, [program, ...args], { encoding: 'utf8' })

export function generate() {
  const schema = join(root, 'config/tapswitch.schema.json')
  writeFileSync(schema, output('schema'))
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome')
  execFileSync(process.execPath, [biome, 'format', '--write', schema], { stdio: ['ignore', 'ignore', 2] })
  const file = join(root, 'docs/configuration.md')
  const table = output('schema', '--markdown').trimEnd()
  const text = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    text.replace(/(<!-- options -->\n)[\s\S]*?(\n<!-- \/options -->)/, (_, open, close) => open + table + close),
  )
}
