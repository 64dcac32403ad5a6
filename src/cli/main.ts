#!/usr/bin/env node
/**
 * From the command line to a command. Exit codes: 0 done, 1 failure at run time, 2 wrong usage or configuration.
 *
 * A command's module is loaded when the command is chosen: `doctor` must work where the native library that `run` needs
 * does not load.
 */
import './no-inspector.js'
import tab from '@bomb.sh/tab/commander'
import { Command, CommanderError } from 'commander'
import { OperatorError } from '../errors.js'
import { addClientCommands } from './client/commands.js'
import { processOutput as output } from './output.js'
import { defaultConfigFile, version } from './package.js'

const configOption = ['-c, --config <file>', 'configuration, YAML or JSON', defaultConfigFile] as const

function commandLine(setExitCode: (code: number) => void): Command {
  const program = new Command('tapswitch')
    .description('An Ethernet switch in one process: VMs and the host on one network, with metrics.')
    .version(version)
    .exitOverride()
    .showHelpAfterError('(--help says what is possible)')

  program
    .command('run')
    .description('run the switch in the foreground; SIGINT or SIGTERM stop it, SIGHUP reads the file again')
    .option(...configOption)
    .action(async ({ config }: { config: string }) => {
      const { run } = await import('./run.js')
      setExitCode(await run(config))
    })

  program
    .command('check')
    .description('validate a configuration: exit 0, or exit 2 with one line for each error')
    .option(...configOption)
    .action(async ({ config }: { config: string }) => {
      const { check } = await import('./check.js')
      setExitCode(await check(config, output))
    })

  program
    .command('doctor')
    .description("say what this machine can do, and how to mend what it can't")
    .option(...configOption)
    .option('--json', 'one JSON document instead of lines', false)
    .action(async ({ config, json }: { config: string; json: boolean }) => {
      const { doctor } = await import('./doctor.js')
      setExitCode(await doctor(config, { json }, output))
    })

  program
    .command('schema')
    .description('print the JSON Schema of the configuration, for editors')
    .option('--markdown', 'print a table of all options instead', false)
    .action(async ({ markdown }: { markdown: boolean }) => {
      const { schemaText, optionTable } = await import('../config/reference.js')
      output.out(markdown ? optionTable() : schemaText())
    })

  program
    .command('openapi')
    .description('print the OpenAPI document of the HTTP API')
    .option('--markdown', 'print the reference of docs/api.md instead', false)
    .action(async ({ markdown }: { markdown: boolean }) => {
      const [{ describeApi }, { apiReference }] = await Promise.all([
        import('../http/server.js'),
        import('../http/api-reference.js'),
      ])
      const document = await describeApi()
      output.out(markdown ? apiReference(document) : JSON.stringify(document, null, 2))
    })

  addClientCommands(program, output)
  tab(program, { completionCommandName: 'completion' })
  return program
}

async function main(): Promise<number> {
  let exitCode = 0
  try {
    await commandLine(code => {
      exitCode = code
    }).parseAsync()
    return exitCode
  } catch (error) {
    // commander has written its message already; its code is 0 for --help and --version.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (!(error instanceof OperatorError)) throw error
    output.err(error.message)
    return error.exitCode
  }
}

/** Set when stdout takes no more, for another reason than that its reader left, as in `tapswitch schema | head -1`. */
let outputFailed = false
process.stdout.on('error', error => {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EPIPE' || outputFailed) return
  outputFailed = true
  process.exitCode = 1
  output.err(`the output cannot be written: ${message}`)
})
const exitCode = await main()
process.exitCode = outputFailed ? 1 : exitCode
