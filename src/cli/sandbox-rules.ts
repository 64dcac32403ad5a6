/**
 * What the sandboxed process may do with which files: run and read the programs and libraries of the system; read the
 * program itself, /etc as a whole (files in it are replaced by others) and what the kernel shows; change the runtime
 * directory, root's records, and the folder of the configuration file, which is written when changes are saved; and use
 * the folders of the files that the configuration names.
 */
import { readFileSync, realpathSync } from 'node:fs'
import { delimiter, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Config } from '../config/config.js'
import { type UsedFile, usedBy, usedByHttp } from '../config/used-files.js'
import type { FileAccess, FileRule } from '../os/sandbox/landlock.js'
import { ROOT_FOLDER } from '../tap/records.js'

const RUN: readonly FileAccess[] = ['read', 'execute']
const CHANGE: readonly FileAccess[] = ['read', 'write', 'create']
const SOCKETS: readonly FileAccess[] = ['read', 'socketFiles']

/** Where distributions keep programs and libraries. */
const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/nix/store', '/gnu/store']
/** What the kernel shows, and settings of the system. */
const SHOWN = ['/etc', '/proc', '/sys', '/dev', '/run/netns']
/** Variables that name folders of programs and libraries, and files that are read. */
const FOLDERS = ['PATH', 'LD_LIBRARY_PATH']
const FILES = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'SSL_CERT_DIR']
const LIBRARIES = ['TAPSWITCH_LIBSLIRP', 'TAPSWITCH_LIBPCAP', 'TAPSWITCH_VMNET_LIBRARY']

/** For Landlock, which passes over what does not exist. A rule for "/" means that a sandbox would keep nothing out. */
export function sandboxRules(config: Config, env: NodeJS.ProcessEnv): FileRule[] {
  const { runtimeDir, file } = config
  const used = [...config.transports, ...config.interfaces].flatMap(usedBy)
  return [
    ...rules(RUN, [...SYSTEM, ...mappedFolders(), ...folders(env, FOLDERS), ...folders(env, LIBRARIES).map(dirname)]),
    ...rules(['read'], [...SHOWN, ...linkedFolder('/etc/resolv.conf'), ...programFolders(), ...folders(env, FILES)]),
    ...rules(['write'], ['/dev/null', '/dev/tty', '/proc/sys/net']),
    ...rules(['write', 'device'], ['/dev/net/tun']),
    // Sockets too, wherever a file may be made: the first transport may come over the API.
    ...rules([...CHANGE, 'socketFiles'], [runtimeDir, dirname(file), ...linkedFolder(file)]),
    ...(process.getuid?.() === 0 ? rules(CHANGE, [ROOT_FOLDER]) : []),
    // The switch removes a runtime directory that it made.
    ...rules(['removeFolders'], dirname(runtimeDir) === '/' ? [] : [dirname(runtimeDir)]),
    ...[...used, ...usedByHttp(config)].flatMap(placesOf),
  ]
}

/**
 * The folders that a file is used in. A file that is read may be a link; it, and what it leads to, may be replaced by
 * others.
 */
export function placesOf({ path, use }: UsedFile): FileRule[] {
  switch (use) {
    case 'socket':
      return rules(SOCKETS, [dirname(path)])
    case 'file':
      return rules(['read'], [dirname(path), ...linkedFolder(path)])
    case 'folder of sockets':
      return rules(SOCKETS, [path])
    case 'folder of files':
      return rules(['read'], [path])
  }
}

const rules = (allow: readonly FileAccess[], paths: readonly string[]): FileRule[] =>
  [...new Set(paths)].map(path => ({ path, allow }))

/** Of each variable; entries that are not absolute, or are "/", are left out. */
const folders = (env: NodeJS.ProcessEnv, variables: readonly string[]): string[] =>
  variables.flatMap(name => (env[name] ?? '').split(delimiter).filter(path => /^\/./.test(path)))

/** Where a file really lies. */
function linkedFolder(path: string): string[] {
  try {
    return [dirname(realpathSync(path))]
  } catch {
    return []
  }
}

/**
 * The program, and the packages that it imports; package managers keep these in one folder, and link to it from
 * elsewhere.
 */
function programFolders(): string[] {
  const own = fileURLToPath(new URL('../..', import.meta.url))
  return [own, realpathSync(fileURLToPath(import.meta.resolve('koffi')))].map(path => {
    const packages = path.indexOf('/node_modules/')
    return packages < 0 ? path : path.slice(0, packages + '/node_modules'.length)
  })
}

/** The folders of Node.js and of the libraries that it has loaded. */
function mappedFolders(): string[] {
  const paths = readFileSync('/proc/self/maps', 'utf8').matchAll(/^\S+ ..x. .* (\/.+)$/gm)
  return [...new Set([...paths].map(([, path]) => dirname(path as string)))]
}
