import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { NameServers, nameServersIn } from '#src/slirp/name-servers.js'
import { RecordedFindings } from '../../support/recorded-findings.js'

describe('the name servers of a host', () => {
  it('are read as libslirp reads them', () => {
    const text =
      '# a\nnameserver 192.0.2.1\n nameserver 192.0.2.9\nnameserver\tfe80::1%eth0\nnameserver nonsense\nsearch x\n'
    assert.deepEqual(nameServersIn(text), ['192.0.2.1', 'fe80::1%eth0'])
  })
})

describe('the name server that libslirp asks', () => {
  let folder: string
  let path: string
  let server: Socket
  let port: number
  let isAnswering: boolean
  let findings: RecordedFindings
  let servers: NameServers

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-resolv-'))
    path = join(folder, 'resolv.conf')
    server = createSocket('udp4')
    server.on('message', (question, from) => isAnswering && server.send(question, from.port, from.address))
    server.bind(0, '127.0.0.1')
    await once(server, 'listening')
    port = server.address().port
  })

  after(() => {
    server.close()
    rmSync(folder, { recursive: true })
  })

  beforeEach(() => {
    isAnswering = true
    findings = new RecordedFindings()
    servers = new NameServers({ dns: '10.0.2.3', restricted: false }, findings, { path, port, answerMs: 50 })
  })

  const told = () => findings.now.get('no-name-servers')

  it('is no trouble when it answers', async () => {
    writeFileSync(path, 'nameserver ::1\nnameserver 127.0.0.1\n')
    await servers.check()
    assert.equal(told(), undefined)
  })

  it('is missing where all are IPv6, and found again when the file has one', async () => {
    writeFileSync(path, 'nameserver 2001:db8::1\n')
    await servers.check()
    assert.match(
      told() as string,
      /no IPv4 name server \(only 2001:db8::1\), so guests that ask 10\.0\.2\.3 get no answer/,
    )
    writeFileSync(path, 'nameserver 127.0.0.1\n')
    await servers.check()
    assert.equal(told(), undefined)
  })

  it('is missing where the file is', async () => {
    rmSync(path, { force: true })
    await servers.check()
    assert.match(told() as string, /has no name server, so guests/)
  })

  it('is dead when it does not answer, whatever the second would say; and well once it does', async () => {
    writeFileSync(path, 'nameserver 127.0.0.1\nnameserver 127.0.0.2\n')
    isAnswering = false
    await servers.check()
    assert.match(told() as string, /the name server 127\.0\.0\.1 does not answer; it is the first/)
    isAnswering = true
    await servers.check()
    assert.equal(told(), undefined)
  })

  it('is not asked again while all is well', async () => {
    writeFileSync(path, 'nameserver 127.0.0.1\n')
    await servers.check()
    isAnswering = false
    await servers.check()
    assert.equal(told(), undefined)
  })
})
