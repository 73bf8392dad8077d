import { createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { AlertMessage } from '../../../monitoring/alerts/alert-message.ts'
import { testMessage, withLink } from '../../../monitoring/alerts/alert-message.ts'
import { mailOf } from '../../../monitoring/alerts/deliver/mail.ts'
import type { NotificationOptions } from '../../../monitoring/alerts/deliver/send-notification.ts'
import { sendNotification } from '../../../monitoring/alerts/deliver/send-notification.ts'
import { channel } from '../../../registry/define/channel.ts'
import type { MailServer } from './mail-server.ts'
import { startMailServer, trustMailServers } from './mail-server.ts'

const firing: AlertMessage = {
  ...testMessage('lockstep:abc:alert:42', '2026-03-01T12:00:00Z'),
  event: 'firing',
  alert: 42,
  monitor: 'view:airport_delays@1',
  check: 'freshness',
  subject: 'airport_delays@1',
  severity: 'page',
  summary:
    'view:airport_delays@1: freshness of airport_delays@1: Rows of "airport_delays@1" have waited for up to 21 min; 10 min is allowed.',
  cause: 'Rows of "airport_delays@1" have waited for up to 21 min; 10 min is allowed.',
  value: 1260,
  threshold: 600,
  n: 40,
  description: 'Delays that the model needs.',
  runbook: 'https://wiki.example/delays',
  evidence: { lagSeconds: 1260, lagRows: 312, failing: null },
}
const resolved: AlertMessage = {
  ...firing,
  event: 'resolved',
  summary: 'Resolved: view:airport_delays@1: freshness of airport_delays@1',
  resolvedAt: '2026-03-01T13:05:00Z',
  resolution: 'cleared',
}

describe('the mail of', () => {
  it('an alert that fires says what is wrong, what is known and what to do', () => {
    expect(mailOf(firing)).toEqual({
      subject: 'Page: view:airport_delays@1: freshness of airport_delays@1',
      text: `Rows of "airport_delays@1" have waited for up to 21 min; 10 min is allowed.

Fired:    2026-03-01 12:00:00 UTC
Severity: page
Monitor:  view:airport_delays@1
Check:    freshness of airport_delays@1
Value:    1260, threshold 600, n 40
Runbook:  https://wiki.example/delays

Delays that the model needs.

To see what is known now, and to silence it while you work on it:
  lockstep alert show 42
  lockstep alert silence 42 --for 4h --reason "being fixed"

Evidence:
  lagSeconds: 1260
  lagRows: 312
`,
    })
  })

  it('an alert that is resolved says how long it took, and what it was', () => {
    expect(mailOf(resolved)).toEqual({
      subject: 'Resolved: view:airport_delays@1: freshness of airport_delays@1',
      text: `The check is fine again, after 1 h 5 min.

It had fired because:
Rows of "airport_delays@1" have waited for up to 21 min; 10 min is allowed.

Fired:    2026-03-01 12:00:00 UTC
Resolved: 2026-03-01 13:05:00 UTC
Severity: page
Monitor:  view:airport_delays@1
Check:    freshness of airport_delays@1
`,
    })
  })

  it('an alert that nothing watches any more does not say that it is fine', () => {
    const { text } = mailOf({ ...resolved, resolution: 'removed' })
    expect(text).toContain('or what it watches was removed or no longer answers. The fault may still be there.')
    expect(text).not.toContain('fine')
  })

  it('an alert links to its page in the dashboard, if its address is known', () => {
    const line = '\nLink:     https://features.example/ui/alerts?alert=42\n'
    for (const message of [firing, resolved]) {
      expect(mailOf(withLink(message, new URL('https://features.example'))).text).toContain(line)
      expect(mailOf(withLink(message, null)).text).not.toContain('Link')
    }
  })

  it('many columns lists those that breach in the evidence', () => {
    const column = (name: string, value: number) => ({ column: name, state: 'breach', value, threshold: 0.2, evidence: { bins: 10 } })
    const fine = { ...column('merchant', 0.01), state: 'ok' }
    const { text } = mailOf({ ...firing, evidence: { columns: [column('amount', 0.51234), column('country', 0.3), fine], of: 7 } })
    expect(text).toContain(`Evidence:
  columns:
    1:
      column: amount
      state: breach
      value: 0.5123
      threshold: 0.2
      evidence: bins 10
    2:`)
    expect(text).not.toContain('merchant')
  })

  it('a name with line breaks keeps its subject in one line', () => {
    expect(mailOf({ ...firing, subject: 'a\r\nBcc: b@example.com' }).subject).toBe(
      'Page: view:airport_delays@1: freshness of a Bcc: b@example.com',
    )
  })
})

describe('a channel of mail', () => {
  const servers: MailServer[] = []
  const server = async (...options: Parameters<typeof startMailServer>) => {
    const started = await startMailServer(...options)
    servers.push(started)
    return started
  }
  let distrust = (): void => undefined
  beforeAll(() => (distrust = trustMailServers()))
  afterAll(() => distrust())
  afterEach(async () => {
    for (const each of servers.splice(0)) await each.close()
  })

  const to = ['oncall@example.com', 'team@example.com']
  const send = async (
    url: string,
    message: AlertMessage = firing,
    more: Partial<NotificationOptions> & { readonly to?: string[] } = {},
  ) => {
    const { spec } = channel('mail', { kind: 'email', url: { env: 'SMTP_URL' }, from: 'Lockstep <alerts@ops.example>', to: more.to ?? to })
    const options = { allowPrivate: true, publicUrl: null, signal: new AbortController().signal, readSecret: () => url, now: 0 }
    return await sendNotification(spec, message, `${message.alertKey}:${message.event}`, { ...options, ...more })
  }
  const user = 'alerts:p%40ss%2Fword@'

  it.each([
    ['smtps', true, 'TLS'],
    ['smtp', false, 'STARTTLS'],
  ])('at $0:// sends it by $2, signed in, once to all', async (protocol, secure) => {
    const { port, received } = await server({ secure })
    expect(await send(`${protocol}://${user}localhost:${port}`)).toBeNull()
    expect(received).toMatchObject([{ from: 'alerts@ops.example', to, isEncrypted: true, user: 'alerts' }])
    const { raw = '' } = received[0] ?? {}
    for (const header of [
      'From: Lockstep <alerts@ops.example>',
      'To: oncall@example.com, team@example.com',
      'Subject: Page: view:airport_delays@1: freshness of airport_delays@1',
      'Message-ID: <lockstep.abc.alert.42.firing@ops.example>',
      'References: <lockstep.abc.alert.42@ops.example>',
      'Auto-Submitted: auto-generated',
      'Importance: High',
    ])
      expect(raw.split('\r\n')).toContain(header)
    expect(raw).toContain('lockstep alert show 42')
    expect(raw).not.toContain('Link:')
  })

  it('shows the mails of an alert together, and only a page is urgent', async () => {
    const { port, received } = await server({ secure: true })
    const url = `smtps://${user}localhost:${port}`
    await send(url)
    await send(url, resolved)
    await send(url, { ...firing, severity: 'ticket' })
    const header = (name: string) => received.map(({ raw }) => new RegExp(`^${name}: (.*?)\r$`, 'mi').exec(raw)?.[1])
    expect(new Set(header('In-Reply-To'))).toEqual(new Set(['<lockstep.abc.alert.42@ops.example>']))
    expect(header('Message-ID').slice(0, 2)).toEqual([
      '<lockstep.abc.alert.42.firing@ops.example>',
      '<lockstep.abc.alert.42.resolved@ops.example>',
    ])
    expect(header('Importance')).toEqual(['High', undefined, undefined])
  })

  it('sends without encryption and user only where the URL says so', async () => {
    const { port, received } = await server({ disabledCommands: ['STARTTLS', 'AUTH'], authOptional: true })
    await expect(send(`smtp://localhost:${port}`)).rejects.toThrow('with smtp:// it must offer STARTTLS')
    expect(received).toEqual([])
    expect(await send(`smtp://localhost:${port}?tls=off`)).toBeNull()
    expect(received).toMatchObject([{ isEncrypted: false, user: undefined }])
  })

  it('refuses a certificate that nobody trusts, and one of another host, and sends no password', async () => {
    const { port, received } = await server({ secure: true })
    await expect(send(`smtps://${user}127.0.0.1:${port}`)).rejects.toThrow("does not match certificate's altnames")
    distrust()
    await expect(send(`smtps://${user}localhost:${port}`)).rejects.toThrow('self-signed certificate')
    distrust = trustMailServers()
    expect(received).toEqual([])
  })

  it('names the recipients that the server refuses, while others get it', async () => {
    const { port, received } = await server({ secure: true })
    const url = `smtps://${user}localhost:${port}`
    expect(await send(url, firing, { to: [...to, 'x@gone.example'] })).toBe(
      'Some recipients were refused: "x@gone.example" (550 No such mailbox)',
    )
    expect(received).toMatchObject([{ to }])
    await expect(send(url, firing, { to: ['x@gone.example'] })).rejects.toThrow('550 No such mailbox')
  })

  it('fails while the server refuses a recipient for now, so that it is sent again', async () => {
    const { port } = await server({ secure: true })
    const failure = send(`smtps://${user}localhost:${port}`, firing, { to: [...to, 'x@later.example'] })
    await expect(failure).rejects.toThrow('"localhost" refused recipients for now: "x@later.example" (451 Greylisted)')
  })

  it('reports a wrong password without showing it', async () => {
    const { port } = await server({ secure: true })
    const failure = send(`smtps://alerts:hunter2@localhost:${port}`)
    await expect(failure).rejects.toThrow('"localhost" refused the user or the password: 535 Authentication failed')
    await expect(failure).rejects.not.toThrow('hunter2')
  })

  it('that does not take it, or does not answer, fails the delivery', async () => {
    const { port, received, behave } = await server({ secure: true })
    const url = `smtps://${user}localhost:${port}`
    behave('busy')
    await expect(send(url)).rejects.toThrow('451 Try again later')
    behave('hang')
    await expect(send(url, firing, { timeoutMs: 300 })).rejects.toThrow('"localhost" did not answer within 0.3 s')
    behave('take')
    expect(await send(url)).toBeNull()
    expect(received).toHaveLength(1)
  })

  it('that is down, or says nothing, is named', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined).resume())
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    for (const protocol of ['smtp', 'smtps'])
      await expect(send(`${protocol}://localhost:${port}`, firing, { timeoutMs: 200 })).rejects.toThrow('did not answer within 0.2 s')
    await new Promise((resolve) => silent.close(resolve))
    await expect(send(`smtp://localhost:${port}`)).rejects.toThrow('"localhost" cannot be reached (ECONNREFUSED)')
  })

  it('at a private address is refused, by its number and by its name', async () => {
    const { port, received } = await server({ secure: true })
    for (const host of ['127.0.0.1', 'localhost'])
      await expect(send(`smtps://${user}${host}:${port}`, firing, { allowPrivate: false })).rejects.toMatchObject({ code: 'FORBIDDEN' })
    expect(received).toEqual([])
  })

  it.each([
    ['no URL', 'smtps://u:secret#x@mail.example', 'it is no URL'],
    ['a path', 'smtps://u:12/secret@mail.example', 'after the host it may only have a port'],
    ['another protocol', 'https://u:secret@mail.example', 'it does not begin with smtps:// or smtp://'],
    ['no host', 'smtp:secret', 'it names no host'],
    ['a password that is sent unencrypted', 'smtp://u:secret@mail.example?tls=off', 'would be sent unencrypted'],
    ['a contradiction', 'smtps://mail.example?tls=off', 'contradicts smtps://'],
    ['another parameter', 'smtp://mail.example?tls=maybe-secret', 'a port and "?tls=off"'],
    ['a user without password', 'smtps://secret@mail.example', 'only one of user and password'],
    ['a wrong escape', 'smtps://u:secret%zz@mail.example', 'write "%25" for it'],
  ])('with a variable that has %s is refused, without showing it', async (_, url, message) => {
    const failure = send(url)
    await expect(failure).rejects.toMatchObject({ code: 'DELIVERY_FAILED', message: expect.stringContaining(message) as string })
    await expect(failure).rejects.not.toThrow('secret')
  })
})
