import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkForwards, forwardForm, parseForwardEnd } from '#src/config/forwards.js'
import type { Problem } from '#src/errors.js'

describe('an end of a port forward', () => {
  it('is an address and a port, IPv6 in brackets, or an absolute path', () => {
    assert.deepEqual(parseForwardEnd('127.0.0.1:2222'), { family: 'ipv4', address: '127.0.0.1', port: 2222 })
    assert.deepEqual(parseForwardEnd('[::1]:65535'), { family: 'ipv6', address: '::1', port: 65535 })
    assert.deepEqual(parseForwardEnd('/run/ssh.sock'), { family: 'unix', path: '/run/ssh.sock' })
  })

  for (const wrong of [
    '2222',
    'localhost:22',
    '127.0.0.1',
    '127.0.0.1:0',
    '127.0.0.1:65536',
    '::1:22',
    '[1.2.3.4]:5',
    'a.sock',
  ]) {
    it(`is not ${wrong}`, () => assert.equal(parseForwardEnd(wrong), undefined))
  }
})

describe('the list of port forwards', () => {
  const ssh = { protocol: 'tcp', host: '127.0.0.1:2222', guest: '10.0.2.15:22' } as const
  const problemsOf = (forwards: Parameters<typeof checkForwards>[0]) => {
    const problems: Problem[] = []
    checkForwards(forwards, 'forwards', problems)
    return problems.map(({ path, message }) => `${path}: ${message}`)
  }

  it('takes the same place for TCP and for UDP, but not twice for either', () => {
    assert.deepEqual(problemsOf([ssh, { ...ssh, protocol: 'udp' }]), [])
    assert.deepEqual(problemsOf([ssh, { ...ssh, guest: '10.0.2.16:22' }]), [
      'forwards[1].host: "127.0.0.1:2222" is taken by forwards[0]',
    ])
  })

  it('has unix sockets for TCP only', () => {
    assert.deepEqual(problemsOf([{ ...ssh, host: '/run/ssh.sock' }]), [])
    assert.equal(problemsOf([{ ...ssh, host: '/run/ssh.sock', protocol: 'udp' }]).length, 1)
  })

  it('forwards TCP when it is not said what', () => {
    assert.deepEqual(forwardForm.parse({ host: ssh.host, guest: ssh.guest }), ssh)
    assert.equal(forwardForm.safeParse({ host: ssh.host, guest: '/run/guest.sock' }).success, false)
  })
})
