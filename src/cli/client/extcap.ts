/**
 * `tapswitch extcap`: how Wireshark and tshark see a running switch, as network interfaces of their own: one for each
 * port and `tapswitch-all`. They call a program in their extcap folder in four ways, told apart by an option each, and
 * read lines of `{name=value}` from stdout (https://www.wireshark.org/docs/wsdg_html_chunked/ChCaptureExtcap.html);
 * scripts/tapswitch-extcap is that program.
 *
 * Wireshark lists interfaces whenever it starts, also where no switch runs. `tapswitch-all` is listed all the same,
 * because only an interface has options in which another switch can be named, and no more than a moment is spent
 * waiting for a switch that does not answer.
 */
import type { Writable } from 'node:stream'
import type { PortView } from '../../control/view.js'
import { OperatorError, UsageError } from '../../errors.js'
import { compileFilter } from '../../os/filter-compiler.js'
import { version } from '../../version.js'
import { FilterError } from '../../wire/bpf.js'
import type { Output } from '../output.js'
import { ApiClient } from './api-client.js'
import { capture } from './capture.js'
import { resolveTarget, type TargetOptions } from './target.js'

export interface ExtcapOptions extends TargetOptions {
  readonly extcapInterfaces: boolean
  readonly extcapDlts: boolean
  readonly extcapConfig: boolean
  readonly capture: boolean
  readonly extcapInterface?: string
  readonly extcapCaptureFilter?: string
  readonly fifo?: string
  readonly port?: string
  readonly snaplen?: string
}

const PREFIX = 'tapswitch-'
const EVERY_PORT = `${PREFIX}all`
/** Milliseconds; Wireshark's window waits meanwhile. */
const LIST_TIMEOUT_MS = 2000

/** @param signal ends a capture */
export async function extcap(
  options: ExtcapOptions,
  output: Output,
  stdout: Writable & { isTTY?: boolean },
  signal: AbortSignal,
): Promise<void> {
  if (options.extcapInterfaces) return output.out(interfaceLines(await portsOf(options)))
  if (options.extcapInterface === undefined)
    throw new UsageError('Wireshark calls this; --extcap-interfaces tells what there is')
  const port = portOf(options.extcapInterface)
  if (options.extcapDlts) return output.out('dlt {number=1}{name=EN10MB}{display=Ethernet}')
  if (options.extcapConfig) return output.out(configLines(resolveTarget(options, process.env).url, port === undefined))
  if (options.capture) {
    const chosen = port ?? (options.port === '' ? undefined : options.port)
    return captureTo(options, chosen, output, stdout, signal)
  }
  if (options.extcapCaptureFilter !== undefined) return sayFault(options.extcapCaptureFilter, output)
  throw new UsageError('nothing to do: neither --extcap-dlts, --extcap-config, --extcap-capture-filter nor --capture')
}

/** Undefined: every port. */
function portOf(interfaceName: string): string | undefined {
  if (!interfaceName.startsWith(PREFIX)) throw new UsageError(`"${interfaceName}" is not an interface of tapswitch`)
  return interfaceName === EVERY_PORT ? undefined : interfaceName.slice(PREFIX.length)
}

async function portsOf(options: ExtcapOptions): Promise<PortView[]> {
  try {
    const api = new ApiClient(resolveTarget(options, process.env), LIST_TIMEOUT_MS)
    return ((await api.get('/v1/ports')) as { ports: PortView[] }).ports
  } catch (error) {
    if (error instanceof OperatorError) return []
    throw error
  }
}

function interfaceLines(ports: readonly PortView[]): string {
  const named = ports.filter(({ name }) => PREFIX + name !== EVERY_PORT)
  return [
    `extcap {version=${version}}{display=tapswitch}`,
    `interface {value=${EVERY_PORT}}{display=tapswitch, every port}`,
    ...named.map(({ name, kind }) => `interface {value=${PREFIX}${name}}{display=tapswitch, port ${name} (${kind})}`),
  ].join('\n')
}

function configLines(url: string, anyPort: boolean): string {
  const argument = (call: string, display: string, more: string) => `{call=--${call}}{display=${display}}${more}`
  const all = [
    argument(
      'url',
      'Switch',
      `{type=string}{default=${url}}{tooltip=http://HOST:PORT, https://HOST:PORT or unix:/PATH}`,
    ),
    argument(
      'token-file',
      'Token file',
      '{type=fileselect}{mustexist=true}{tooltip=The file that holds its token, if it needs one}',
    ),
    argument(
      'ca',
      'CA file',
      '{type=fileselect}{mustexist=true}{tooltip=PEM; who signed the certificate of an https switch}',
    ),
    argument('snaplen', 'Bytes kept of each frame', '{type=integer}{range=14,65550}{default=65550}'),
  ]
  if (anyPort) all.push(argument('port', 'Port', '{type=string}{tooltip=Number or name; every port when empty}'))
  return all.map((text, number) => `arg {number=${number}}${text}`).join('\n')
}

/** A filter is checked while it is typed: no word means that it is good. Without libpcap here the switch says it. */
async function sayFault(filter: string, output: Output): Promise<void> {
  try {
    if (filter.trim() !== '') await compileFilter(filter)
  } catch (error) {
    if (error instanceof FilterError) output.out(error.message)
    else if (!(error instanceof OperatorError)) throw error
  }
}

async function captureTo(
  options: ExtcapOptions,
  port: string | undefined,
  output: Output,
  stdout: Writable,
  signal: AbortSignal,
): Promise<void> {
  const { fifo, snaplen, extcapCaptureFilter: filter } = options
  if (fifo === undefined) throw new UsageError('--capture needs --fifo')
  const api = new ApiClient(resolveTarget(options, process.env))
  const chosen = {
    write: fifo,
    seconds: DAY_SECONDS,
    ...definedOnly({ port, snaplen, filter: filter === '' ? undefined : filter }),
  }
  // What is said on stderr, Wireshark shows as a fault.
  await capture(api, chosen, { out: output.out, err: () => {} }, stdout, signal)
}

/** The longest that a capture may last; Wireshark has limits of its own. */
const DAY_SECONDS = '86400'

function definedOnly<Value>(values: Record<string, Value | undefined>): Record<string, Value> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Record<string, Value>
}
