import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findingText } from '#src/cli/doctor.js'
import { type Finding, inspect } from '#src/cli/findings.js'
import type { Machine } from '#src/cli/machine.js'
import { OperatorError } from '#src/errors.js'

const directory = (uid: number, mode: number) => ({ isDirectory: () => true, uid, mode: 0o040_000 | mode })

const files: Record<string, string> = {
  '/proc/self/limits':
    'Max processes  7  7  processes\nMax open files            4096                 4096                 files\n',
  '/proc/self/status': 'Name:\tnode\nCapEff:\t0000000000000000\n',
  '/proc/sys/net/unix/max_dgram_qlen': '512\n',
  '/proc/sys/net/core/wmem_max': '4194304\n',
}

const installed = ['/usr/sbin/ip', '/usr/sbin/nft', '/usr/sbin/dnsmasq', '/usr/bin/setpriv']

/** A machine where all is well. */
const good: Machine = {
  platform: 'linux',
  nodeVersion: '20.19.0',
  uid: 1000,
  read: path => files[path],
  stat: path => (path === '/run/t' || installed.includes(path) ? directory(1000, 0o700) : undefined),
  lstat: path => (path === '/run/t' ? directory(1000, 0o700) : undefined),
  replaceableProblem: () => undefined,
  isAccessible: () => true,
  output: () => undefined,
  loadNativeLibrary: async () => ({}),
  loadSlirp: async () => ({ version: '4.9.2', file: 'libslirp.so.0' }),
  loadPcap: async () => ({ version: 'libpcap version 1.10.3', file: 'libpcap.so.0.8' }),
  landlockVersion: async () => 7,
  bridgeableInterfaces: async () => undefined,
  executable: '/usr/bin/node',
}

async function findings(machine: Partial<Machine>, runtimeDir = '/run/t'): Promise<Map<string, Finding>> {
  const found = await inspect({ ...good, ...machine }, { runtimeDir, peerDescriptors: [1000] })
  return new Map(found.map(finding => [finding.name, finding]))
}

const reading = (changed: Record<string, string | undefined>) => (path: string) => ({ ...files, ...changed })[path]

describe('doctor', () => {
  it('finds nothing wrong where nothing is', async () => {
    const found = await findings({})
    assert.deepEqual(
      [...found.values()].filter(({ status }) => status !== 'ok'),
      [],
    )
    assert.deepEqual(
      [...found.keys()],
      [
        'platform',
        'node',
        'native library',
        'runtime directory',
        'open files',
        'slirp',
        'capture filters',
        'sandbox',
        'datagram queue',
        'send buffer',
        'tap',
        'tap programs',
        'kvm',
      ],
    )
  })

  it('says whether TAPs can be made here, and what their modes lack', async () => {
    const asRoot = reading({ '/proc/self/status': 'CapEff:\t0000000000001000\n' })
    assert.match(
      (await findings({ read: asRoot })).get('tap')?.text ?? '',
      /may make TAPs .* not in another network namespace/,
    )
    assert.match((await findings({})).get('tap')?.text ?? '', /without root only .* mode tap user 1000/)
    const without = (program: string) => (path: string) => (path.endsWith(program) ? undefined : good.stat(path))
    const { status, text, mend } = (await findings({ stat: without('/nft') })).get('tap programs') ?? {}
    assert.deepEqual(
      [status, text, mend],
      [
        'warn',
        'nft is not installed; type: tap needs it for mode: shared',
        'apt install nftables (Debian), dnf install nftables (Fedora)',
      ],
    )
  })

  it('says whether the kernel has Landlock', async () => {
    assert.equal((await findings({})).get('sandbox')?.text, 'Landlock, version 7')
    const missing = (await findings({ landlockVersion: async () => 0 })).get('sandbox')
    assert.equal(missing?.status, 'warn')
    assert.match(missing?.mend ?? '', /5\.13/)
  })

  it('says which libpcap there is, or which package has it', async () => {
    assert.equal((await findings({})).get('capture filters')?.text, 'libpcap version 1.10.3 (libpcap.so.0.8)')
    const loadPcap = () => Promise.reject(new OperatorError('filters need libpcap (apt install libpcap0.8)'))
    const missing = (await findings({ loadPcap })).get('capture filters')
    assert.equal(missing?.status, 'warn')
    assert.match(missing?.text ?? '', /apt install libpcap0\.8.*captures take no filter/)
  })

  it('says which libslirp there is, or which package has it', async () => {
    assert.equal((await findings({})).get('slirp')?.text, 'libslirp 4.9.2 (libslirp.so.0)')
    const loadSlirp = () => Promise.reject(new OperatorError('libslirp is not installed (apt install libslirp0)'))
    const missing = (await findings({ loadSlirp })).get('slirp')
    assert.equal(missing?.status, 'warn')
    assert.match(missing?.text ?? '', /apt install libslirp0.*type: auto has one choice less/)
  })

  it('warns of a libslirp with memory faults that guests can reach, and names them', async () => {
    const loadSlirp = async () => ({ version: '4.7.0', file: 'libslirp.so.0' })
    const { status, text, mend } = (await findings({ loadSlirp })).get('slirp') as Finding
    assert.equal(status, 'warn')
    assert.match(text, /^libslirp 4\.7\.0 .*CVE-2026-9539/)
    assert.match(mend ?? '', /4\.9\.2 or newer/)
  })

  it('says what a short datagram queue costs and how to mend it', async () => {
    const read = reading({ '/proc/sys/net/unix/max_dgram_qlen': '10\n' })
    const queue = (await findings({ read })).get('datagram queue')
    assert.equal(queue?.status, 'warn')
    assert.match(queue.text, /max_dgram_qlen is 10: .*533,000 to 278,000/)
    assert.match(queue.mend ?? '', /^sudo sysctl -w net\.unix\.max_dgram_qlen=512;/)
  })

  it('warns of a small send buffer, unless it may be exceeded', async () => {
    const small = { '/proc/sys/net/core/wmem_max': '212992\n' }
    assert.equal((await findings({ read: reading(small) })).get('send buffer')?.status, 'warn')
    const read = reading({ ...small, '/proc/self/status': 'CapEff:\t0000000000001000\n' })
    assert.equal((await findings({ read })).get('send buffer')?.status, 'ok')
  })

  it('warns when there are fewer files than peers may need', async () => {
    const read = reading({
      '/proc/self/limits': 'Max open files            1024                 1024                 files',
    })
    assert.match((await findings({ read })).get('open files')?.mend ?? '', /ulimit -n 1846/)
    const asked = await findings({ read: reading({ '/proc/self/limits': undefined }), output: () => 'unlimited\n' })
    assert.equal(asked.get('open files')?.status, 'ok')
  })

  it('fails without a native library, and says which command brings it', async () => {
    const loadNativeLibrary = () => Promise.reject(new Error('no binary\nfor this'))
    const library = (await findings({ loadNativeLibrary })).get('native library')
    assert.deepEqual([library?.status, library?.text], ['fail', 'koffi does not load: no binary'])
  })

  it('fails on an old Node.js', async () => {
    for (const [nodeVersion, status] of [
      ['20.18.3', 'fail'],
      ['18.20.0', 'fail'],
      ['24.1.0', 'ok'],
    ]) {
      assert.equal((await findings({ nodeVersion })).get('node')?.status, status, nodeVersion)
    }
  })

  it('fails on other systems', async () => {
    assert.equal((await findings({ platform: 'win32' })).get('platform')?.status, 'fail')
  })

  it('fails on a runtime directory that is not ours and private', async () => {
    const cases: [Partial<Machine>, RegExp][] = [
      [{ lstat: () => directory(0, 0o700) }, /belongs to user 0, must be ours/],
      [{ lstat: () => directory(1000, 0o755) }, /has mode 0755, must be 0700/],
      [{ lstat: () => ({ ...directory(1000, 0o700), isDirectory: () => false }) }, /is not a directory/],
      [{ isAccessible: () => false }, /is not writable/],
      [{ replaceableProblem: path => `"${path}" can be replaced` }, /^"\/run\/t" can be replaced$/],
      [{ replaceableProblem: path => `"${path}" can be replaced`, lstat: () => undefined }, /can be replaced$/],
    ]
    for (const [machine, text] of cases) {
      const found = (await findings(machine)).get('runtime directory')
      assert.equal(found?.status, 'fail')
      assert.match(found.text, text)
    }
  })

  it('takes a link to a runtime directory for what `run` takes it for', async () => {
    const stat = () => directory(1000, 0o700)
    const lstat = () => ({ ...directory(1000, 0o700), isDirectory: () => false })
    const found = (await findings({ stat, lstat })).get('runtime directory')
    assert.deepEqual([found?.status, found?.text], ['fail', '"/run/t" is not a directory'])
  })

  it('looks for the nearest directory in which a missing one can be made', async () => {
    const stat = (path: string) => (path === '/run' ? directory(0, 0o755) : undefined)
    const asked: string[] = []
    const isAccessible = (path: string) => asked.push(path) > 0 && path !== '/run'
    const found = (await findings({ stat, lstat: stat, isAccessible }, '/run/a/b')).get('runtime directory')
    assert.equal(found?.text, '/run/a/b does not exist and cannot be made by this user')
    assert.ok(asked.includes('/run'))
    assert.equal((await findings({ stat }, '/run/a/b')).get('runtime directory')?.text, '/run/a/b will be made')
  })

  it('warns of missing devices, which run does not need', async () => {
    const found = await findings({ isAccessible: path => !path.startsWith('/dev/') })
    assert.deepEqual([found.get('tap')?.status, found.get('kvm')?.status], ['warn', 'warn'])
  })

  it('asks macOS for its own limits', async () => {
    const values: Record<string, string> = { 'net.local.dgram.maxdgram': '2048\n', 'kern.ipc.maxsockbuf': '8388608\n' }
    const output = (_program: string, args: readonly string[]) => values[args[1]]
    const found = await findings({ platform: 'darwin', output })
    assert.equal(found.get('datagram size')?.mend, 'sudo sysctl -w net.local.dgram.maxdgram=65550')
    assert.equal(found.get('socket buffer')?.status, 'ok')
    assert.equal(found.has('kvm'), false)
  })

  it('prints one line, and a second where something is to be mended', () => {
    assert.equal(findingText({ name: 'kvm', status: 'ok', text: 'there' }), 'ok    kvm                 there')
    const text = findingText({ name: 'node', status: 'fail', text: 'version 18', mend: 'install' })
    assert.equal(text, `fail  node                version 18\n${' '.repeat(26)}to mend: install`)
  })

  describe('vmnet', () => {
    const vmnet = async (machine: Partial<Machine>) => (await findings(machine)).get('vmnet')
    const bridges = async () => ['en0', 'en1']

    it('lists what bridged mode can join, where there is a vmnet', async () => {
      assert.equal(await vmnet({}), undefined)
      assert.deepEqual(await vmnet({ uid: 0, bridgeableInterfaces: bridges }), {
        name: 'vmnet',
        status: 'ok',
        text: 'interfaces that bridged mode can join: en0, en1',
      })
      assert.match((await vmnet({ uid: 0, bridgeableInterfaces: async () => [] }))?.text ?? '', /join: none$/)
    })

    it('may be started by root, or by a node that is signed for it', async () => {
      const found = await vmnet({ bridgeableInterfaces: bridges })
      assert.equal(found?.status, 'warn')
      assert.match(found?.mend ?? '', /macos-sign-node/)
      const signed = (program: string, args: readonly string[]) =>
        program === '/usr/bin/codesign' && args.includes('/usr/bin/node')
          ? '<key>com.apple.security.virtualization</key><true/>'
          : undefined
      assert.equal((await vmnet({ bridgeableInterfaces: bridges, output: signed }))?.status, 'ok')
    })

    it('that does not load is no reason not to run', async () => {
      const found = await vmnet({
        bridgeableInterfaces: () => Promise.reject(new Error('vmnet cannot be loaded: no file')),
      })
      assert.deepEqual([found?.status, found?.text], ['warn', 'vmnet cannot be loaded: no file'])
    })
  })
})
