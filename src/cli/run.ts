/** `tapswitch run`: the boot order, one named step a line; then the switch runs until it is told to stop. */
import { fstatSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config, HttpConfig } from '../config/config.js'
import { ConfigFile } from '../config/config-file.js'
import { effectiveConfig } from '../config/effective.js'
import { isLocal } from '../config/http.js'
import { shown } from '../config/url-secrets.js'
import { ControlPlane } from '../control/control-plane.js'
import type { SwitchView } from '../control/view.js'
import { OperatorError } from '../errors.js'
import { ensureControlToken } from '../http/control-token.js'
import { type HttpServer, startHttp } from '../http/server.js'
import type { Logger } from '../log.js'
import { inheritedSockets } from '../os/activation.js'
import { noteInherited } from '../os/inheritance.js'
import { platformLayout } from '../os/os.js'
import { UpgradeRoutes } from '../upgrade-routes.js'
import { launcherLines } from './launchers.js'
import { createLogger, type Print, type ProcessLog, unwaitingStdout } from './log.js'
import { defaultConfigFile } from './package.js'
import { gainNothingMore, goOnAs, requireCanBecome } from './privileges.js'
import { Reloader } from './reloader.js'
import { Sandbox } from './sandbox.js'
import { type StopSignals, watchStopSignals } from './stop-signals.js'

/** Returns the exit code. Throws ConfigError before anything was opened. */
export async function run(file: string): Promise<number> {
  const configFile = new ConfigFile(resolve(file), { isOwn: resolve(file) === defaultConfigFile })
  const config = configFile.load()
  noteInherited()
  // What is made without a mode of its own is ours alone. Sockets and files with a configured mode get exactly that.
  process.umask(0o077)
  gainNothingMore()
  const processLog = createLogger(config.log.level)
  const { log } = processLog
  // Before anything is started: a child would take them for its own.
  inheritedSockets(platformLayout())
  const signals = watchStopSignals()
  try {
    await runSwitch(configFile, config, processLog, signals)
    log.info('stopped')
    return 0
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error
    log.error({ code: error.code }, error.message)
    return error.exitCode
  } finally {
    signals.release()
  }
}

async function runSwitch(
  file: ConfigFile,
  config: Config,
  { log, linesDropped, onTrouble }: ProcessLog,
  signals: StopSignals,
): Promise<void> {
  requireCanBecome(config.process)
  const upgrades = new UpgradeRoutes()
  const sandbox = new Sandbox(config, log)
  const plane = await ControlPlane.start(config, log, { upgrades, file, linesDropped, sandbox })
  onTrouble(why => tellOfLog(plane, config, why))
  try {
    const http = config.http === false ? undefined : await serveHttp(config.http, config, { plane, log, upgrades })
    try {
      const print = unwaitingStdout()
      announce(config, log, print)
      const reloader = new Reloader({
        load: () => file.load(),
        apply: next => plane.reload(next),
        started: config,
        log,
      })
      signals.onHangup(() => {
        http?.reload()
        void reloader.request()
      })
      await untilReady(plane.view)
      if (config.process !== null) goOnAs(config.process, config.runtimeDir, socketsOf(plane.view, config), log)
      log.info({ http: http?.url ?? null }, 'ready')
      if (http !== undefined) announcePage(http, print)
      const signal = await signals.stop
      log.info({ signal }, 'stopping')
      await reloader.close()
      await plane.captures.stopAll()
    } finally {
      await http?.close()
    }
  } finally {
    await plane.stop()
  }
}

/** Who reads the API learns what the log cannot say. */
function tellOfLog({ findings }: ControlPlane, config: Config, why: string | null): void {
  const subject = { kind: 'switch', name: config.switch.name } as const
  if (why === null) {
    findings.clear('log-not-written', subject)
    return
  }
  const cure =
    why === 'EAGAIN' ? 'have its reader read on' : 'make space on its disk, or give the switch another stderr'
  findings.raise({
    code: 'log-not-written',
    subject,
    message: `the log is not written, stderr does not take its lines (${why}); ${cure}`,
    detail: { error: why },
  })
}

async function serveHttp(
  http: HttpConfig,
  { runtimeDir, process }: Config,
  { plane, log, upgrades }: { plane: ControlPlane; log: Logger; upgrades: UpgradeRoutes },
): Promise<HttpServer> {
  const own = isLocal(http.listen) ? ensureControlToken(runtimeDir, process) : undefined
  const { view, control, captures, events } = plane
  try {
    return await startHttp({ view, control, captures, events, config: http, log, upgrades, controlToken: own?.token })
  } catch (error) {
    own?.takeBack()
    throw error
  }
}

/** Not where stdout is the journal or a file that other users may read. */
function announcePage(http: HttpServer, print: Print): void {
  const link = process.env.JOURNAL_STREAM === undefined && !isReadByOthers(STDOUT) ? http.controlLink() : null
  if (link === null) return
  print(`The page, with control, once and within ten minutes (later: tapswitch link):\n  ${link}`)
}

const STDOUT = 1

function isReadByOthers(fd: number): boolean {
  const stats = fstatSync(fd)
  return stats.isFile() && (stats.mode & 0o044) !== 0
}

function announce(config: Config, log: Logger, print: Print): void {
  log.info({ file: config.file, config: shown(effectiveConfig(config)) }, 'configuration')
  if (config.transports.length > 0) print(['Attach a VM with:', ...launcherLines(config)].join('\n'))
}

/** Files that this switch made. */
function socketsOf(view: SwitchView, { http }: Config): string[] {
  const addresses = view.transports().map(({ listen }) => listen)
  return [...addresses, http === false ? '' : http.listen].filter(address => address.startsWith('/'))
}

/** Milliseconds; opening is done by now, what is missing is the data plane's first turn. */
const readyDeadline = 5000

async function untilReady(view: SwitchView): Promise<void> {
  const until = performance.now() + readyDeadline
  while (!view.ready()) {
    if (performance.now() > until) throw new OperatorError(view.trouble() ?? 'the data plane does not turn')
    await delay(5)
  }
}
