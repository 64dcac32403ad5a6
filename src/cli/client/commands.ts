/** The commands that talk to a running switch. Their modules are loaded when one is chosen. */
import type { Command } from 'commander'
import type { Output } from '../output.js'
import { defaultConfigFile } from '../package.js'
import type { ApiClient } from './api-client.js'
import type { TargetOptions } from './target.js'
import { untilTold } from './until-told.js'

interface JsonOption {
  json: boolean
}

/** Adds them to the program. */
export function addClientCommands(program: Command, output: Output): void {
  const command = (usage: string, description: string) =>
    program
      .command(usage)
      .description(description)
      .option('-c, --config <file>', 'of the switch to talk to: says where it answers', defaultConfigFile)
      .option('-u, --url <url>', 'where it answers: http://HOST:PORT, https://HOST:PORT or unix:/PATH (TAPSWITCH_URL)')
      .option('--token-file <file>', 'file that holds the token (TAPSWITCH_TOKEN_FILE)')
      .option('--ca <file>', 'PEM file of who signed the certificate of an https switch')
  const withJson = (usage: string, description: string) =>
    command(usage, description).option('--json', "the API's own JSON instead of a table", false)

  withJson('status', 'the switch as a whole').action(async (options: TargetOptions & JsonOption) => {
    const { showStatus } = await import('./show.js')
    await showStatus(await connect(options), options, output)
  })
  withJson('ports [port]', 'all ports, or everything about one, by number or name').action(
    async (port: string | undefined, options: TargetOptions & JsonOption) => {
      const { showPort, showPorts } = await import('./show.js')
      const api = await connect(options)
      await (port === undefined ? showPorts(api, options, output) : showPort(api, port, options, output))
    },
  )
  for (const what of ['transports', 'interfaces'] as const) {
    const side = what === 'transports' ? "the guests' side" : "the host's side"
    withJson(what, `what plugs into the switch: ${side}`).action(async (options: TargetOptions & JsonOption) => {
      const { showAttachments } = await import('./show.js')
      await showAttachments(await connect(options), what, options, output)
    })
  }
  withJson('fdb', 'which address is behind which port')
    .option('-p, --port <port>', 'only this port, by number or name')
    .option('-m, --mac <address>', 'only this address')
    .option('-l, --limit <count>', 'at most this many', '1000')
    .action(async (options: TargetOptions & JsonOption & { port?: string; mac?: string; limit: string }) => {
      const { showFdb } = await import('./show.js')
      await showFdb(await connect(options), options, output)
    })
  withJson('findings', 'what is wrong now, and the way out').action(async (options: TargetOptions & JsonOption) => {
    const { showFindings } = await import('./show.js')
    await showFindings(await connect(options), options, output)
  })
  command('events', 'what happens, as it happens; ends with Ctrl-C')
    .option('-t, --type <types>', 'only these kinds, separated by commas: port-up,port-down')
    .option('--json', 'one JSON object a line', false)
    .action(async (options: TargetOptions & JsonOption & { type?: string }) => {
      const { showEvents } = await import('./events.js')
      await untilTold(async signal => showEvents(await connect(options), options, output, signal))
    })
  command('capture', 'write frames to a file for Wireshark; ends with Ctrl-C')
    .option('-p, --port <port>', 'of one port, by number or name; of all when missing')
    .option('-s, --snaplen <bytes>', 'keep at most this much of each frame')
    .option('-t, --seconds <seconds>', 'end after this time')
    .option('-f, --filter <expression>', 'only frames that match, e.g. "arp or tcp port 80"')
    .option('-w, --write <file>', '"-" is stdout', '-')
    .action(async options => {
      const { capture } = await import('./capture.js')
      await untilTold(async signal => capture(await connect(options), options, output, process.stdout, signal))
    })
  // Wireshark may have more to say than is listed here, and repeats what was given before.
  command('extcap', 'for Wireshark: ports as interfaces to capture from; see docs/capture.md')
    .allowUnknownOption()
    .allowExcessArguments()
    .option('--extcap-interfaces', 'list them', false)
    .option('--extcap-interface <interface>', 'the one the others are about')
    .option('--extcap-dlts', 'say what its frames are', false)
    .option('--extcap-config', 'list its options', false)
    .option(
      '--extcap-capture-filter <expression>',
      'only frames that match; without --capture, say what is wrong with it',
    )
    .option('--capture', 'capture', false)
    .option('--fifo <file>', 'where to')
    .option('-p, --port <port>', 'of one port, by number or name; of all when empty')
    .option('-s, --snaplen <bytes>', 'keep at most this much of each frame')
    .action(async options => {
      const { extcap } = await import('./extcap.js')
      await untilTold(signal => extcap(options, output, process.stdout, signal))
    })
  command('top', 'ports and rates, live')
    .option('-n, --interval <seconds>', 'between two looks', '1')
    .action(async (options: TargetOptions & { interval: string }) => {
      const { top } = await import('./top.js')
      const interval = await secondsOf(options.interval)
      const terminal = { input: process.stdin, output: process.stdout }
      await untilTold(async signal => top(await connect(options), interval * 1000, terminal, signal))
    })

  withJson('add <kind> <option...>', 'add a transport or an interface: name=vm1 type=unixgram listen=vm1.sock').action(
    async (kind: string, words: string[], options: TargetOptions & JsonOption) => {
      const { add } = await import('./change.js')
      await add(await connect(options), kind, words, options, output)
    },
  )
  command('remove <kind> <name>', 'remove a transport or an interface').action(
    async (kind: string, name: string, options: TargetOptions) => {
      const { remove } = await import('./change.js')
      await remove(await connect(options), kind, name, output)
    },
  )
  withJson('set <what> <option...>', 'change a port, by number or name, or the switch: set vm1 isolated=true').action(
    async (what: string, words: string[], options: TargetOptions & JsonOption) => {
      const { set } = await import('./change.js')
      await set(await connect(options), what, words, options, output)
    },
  )
  command('disconnect <port>', 'end the connection behind a port; it may come again').action(
    async (port: string, options: TargetOptions) => {
      const { disconnect } = await import('./change.js')
      await disconnect(await connect(options), port, output)
    },
  )
  command('learn <mac> <port>', 'fix an address to a port').action(
    async (mac: string, port: string, options: TargetOptions) => {
      const { setAddress } = await import('./change.js')
      await setAddress(await connect(options), mac, port, output)
    },
  )
  command('forget <mac>', 'forget an address').action(async (mac: string, options: TargetOptions) => {
    const { forgetAddress } = await import('./change.js')
    await forgetAddress(await connect(options), mac, output)
  })
  command('flush [port]', 'forget the learned addresses of a port, or all').action(
    async (port: string | undefined, options: TargetOptions) => {
      const { flush } = await import('./change.js')
      await flush(await connect(options), port, output)
    },
  )
  command('link', 'print a link that gives the page control, once and within ten minutes').action(
    async (options: TargetOptions) => {
      const { link } = await import('./link.js')
      await link(await connect(options), output)
    },
  )
  command('save', 'write what was added and changed to the configuration file').action(
    async (options: TargetOptions) => {
      const { save } = await import('./change.js')
      await save(await connect(options), output)
    },
  )
}

async function connect(options: TargetOptions): Promise<ApiClient> {
  const [{ ApiClient }, { resolveTarget }] = await Promise.all([import('./api-client.js'), import('./target.js')])
  return new ApiClient(resolveTarget(options, process.env))
}

async function secondsOf(text: string): Promise<number> {
  const value = Number(text)
  if (value >= 0.1 && value <= 3600) return value
  const { UsageError } = await import('../../errors.js')
  throw new UsageError(`--interval: "${text}" is not a number of seconds from 0.1 to 3600`)
}
