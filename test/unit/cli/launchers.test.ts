import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { launcherLines } from '#src/cli/launchers.js'
import { load } from '../config/load-text.js'

const lines = (transports: string, runtimeDir = '/run/t', platform: NodeJS.Platform = 'linux') =>
  launcherLines(load(`runtimeDir: ${runtimeDir}\ntransports: [${transports}]`), platform)

describe('what to paste', () => {
  it('plugs VMs into a path for many', () => {
    assert.deepEqual(lines('{ name: vms, type: unixgram, listen: vms.sock }'), [
      'vms: unixgram at /run/t/vms.sock, up to 64 VMs',
      '  QEMU     -netdev dgram,id=net0,local.type=unix,local.path=/run/t/vms-vm1.sock,remote.type=unix,remote.path=/run/t/vms.sock -device virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01',
      '           each VM needs its own local.path (at most 107 bytes) and its own mac',
      '  vfkit    --device virtio-net,unixSocketPath=/run/t/vms.sock,mac=52:54:00:00:00:01',
      '  krunkit  --device virtio-net,type=unixgram,path=/run/t/vms.sock,mac=52:54:00:00:00:01,offloading=off,vfkitMagic=on',
      '           offloading must be off: its guests would send 64 KiB frames with unfinished checksums',
    ])
  })

  it('plugs one VM into a path for one', () => {
    const [heading, , limit] = lines('{ name: a, type: unixgram, listen: a.sock, peers: one }', '/run/t', 'darwin')
    assert.deepEqual(
      [heading, limit],
      ['a: unixgram at /run/t/a.sock, one VM', '           local.path: at most 103 bytes'],
    )
  })

  it('mirrors the two paths of a connection', () => {
    assert.deepEqual(lines('{ name: old, type: unixgram, connect: { local: a.sock, remote: b.sock } }'), [
      'old: unixgram from /run/t/a.sock to /run/t/b.sock',
      '  QEMU     -netdev dgram,id=net0,local.type=unix,local.path=/run/t/b.sock,remote.type=unix,remote.path=/run/t/a.sock -device virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01',
      '  vfkit, krunkit: they connect to a socket that listens; use a transport with listen',
    ])
  })

  it('names a listener that expects the handshake', () => {
    const connect = 'connect: { local: a.sock, remote: b.sock }, handshake: vfkit'
    const [, listener] = lines(`{ name: old, type: unixgram, ${connect} }`)
    assert.equal(listener, '  gvproxy  -listen-vfkit unixgram:///run/t/b.sock')
  })

  it('gives every transport another MAC address', () => {
    const text = lines('{ name: a, type: unixgram, listen: a }, { name: b, type: unixgram, listen: b }').join('\n')
    assert.deepEqual([...new Set(text.match(/52:54:[0-9a-f:]{11}/g))], ['52:54:00:00:00:01', '52:54:00:00:01:01'])
  })

  it('quotes what a shell would take apart, and doubles commas for QEMU', () => {
    const text = lines('{ name: a, type: unixgram, listen: a.sock }', `"/run/it's, a dir"`)
    assert.ok(text[1].includes(`-netdev 'dgram,id=net0,local.type=unix,local.path=/run/it'\\''s,, a dir/a-vm1.sock,`))
    assert.deepEqual(text.slice(3), [
      '  vfkit    cannot: its options have no way to write the comma in this path',
      '  krunkit  cannot, likewise',
    ])
  })

  it('suggests a path of the VM that is short enough and not the own one', () => {
    const deep = `/${'d'.repeat(96)}`
    assert.match(lines('{ name: vms, type: unixgram, listen: v.sock }', deep)[1], /local\.path=\/tmp\/vms-vm1\.sock,/)
    assert.match(lines('{ name: a, type: unixgram, listen: a-vm1.sock }')[1], /local\.path=\/tmp\/a-vm1\.sock,/)
  })
})
