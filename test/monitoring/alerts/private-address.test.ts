import { describe, expect, it } from 'vitest'
import { isPrivateAddress, isPrivateHost } from '../../../runtime/private-address.ts'

describe('a private address', () => {
  it.each([
    '127.0.0.1',
    '10.1.2.3',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '168.63.129.16',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    '::ffff:10.0.0.1',
    '::ffff:7f00:1',
    '64:ff9b::a00:1',
    '2002:7f00:1::',
    'fd00::1',
    '3fff::1',
    'fe80::1%eth0',
    'not an address',
  ])('is %s', (address) => {
    expect(isPrivateAddress(address)).toBe(true)
  })

  it.each(['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])('is not %s', (address) => {
    expect(isPrivateAddress(address)).toBe(false)
  })

  it.each(['localhost', 'LOCALHOST.', 'db.internal', '[::1]', '127.0.0.1', 'a.local'])('is that of the host %s', (host) => {
    expect(isPrivateHost(host)).toBe(true)
  })

  it.each(['events.pagerduty.com', 'internal.example', '8.8.8.8'])('is not that of the host %s', (host) => {
    expect(isPrivateHost(host)).toBe(false)
  })
})
