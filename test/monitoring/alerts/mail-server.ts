import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import type { SMTPServerOptions } from 'smtp-server'
import { SMTPServer } from 'smtp-server'

const certificateFile = join(import.meta.dirname, '../../runtime/tls/localhost.crt')
const certificate = { cert: readFileSync(certificateFile), key: readFileSync(certificateFile.replace('.crt', '.key')) }

export interface ReceivedMail {
  readonly from: string
  readonly to: readonly string[]
  /** Headers and text as they were sent. */
  readonly raw: string
  readonly isEncrypted: boolean
  readonly user: string | undefined
}

type Behaviour = 'take' | 'busy' | 'hang'

export interface MailServer {
  readonly port: number
  readonly received: readonly ReceivedMail[]
  /** How it treats mails of new connections: takes them, answers 451, or never answers. */
  behave(how: Behaviour): void
  close(): Promise<void>
}

/**
 * An SMTP server for localhost with the user "alerts" and the password "p@ss/word". It refuses recipients at
 * `gone.example`.
 */
export async function startMailServer(options: SMTPServerOptions = {}): Promise<MailServer> {
  const received: ReceivedMail[] = []
  let behaviour: Behaviour = 'take'
  /** By connection, as of its begin: a mail may be read after the client has given it up. */
  const behaviours = new Map<string, Behaviour>()
  const server = new SMTPServer({
    ...certificate,
    closeTimeout: 1,
    onConnect({ id }, answer) {
      behaviours.set(id, behaviour)
      answer()
    },
    onAuth({ username, password }, _session, answer) {
      if (username === 'alerts' && password === 'p@ss/word') return answer(null, { user: username })
      return answer(refusal(535, 'Authentication failed'))
    },
    onRcptTo: ({ address }, _session, answer) =>
      answer(
        address.endsWith('@gone.example')
          ? refusal(550, 'No such mailbox')
          : address.endsWith('@later.example')
            ? refusal(451, 'Greylisted')
            : null,
      ),
    onData(stream, { id, envelope, secure, user }, answer) {
      const parts: Buffer[] = []
      stream.on('data', (part: Buffer) => parts.push(part))
      stream.on('end', () => {
        const how = behaviours.get(id)
        if (how === 'hang') return
        if (how === 'busy') return answer(refusal(451, 'Try again later'))
        const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
        const to = envelope.rcptTo.map(({ address }) => address)
        received.push({ from, to, raw: Buffer.concat(parts).toString(), isEncrypted: secure, user: user as string | undefined })
        answer()
      })
    },
    ...options,
  })
  // a client that trusts no certificate breaks the connection off
  server.on('error', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server.server, 'listening')
  return {
    port: (server.server.address() as AddressInfo).port,
    received,
    behave: (how) => (behaviour = how),
    close: async () => await new Promise((resolve) => server.close(resolve)),
  }
}

/** Trusts the server's certificate, as `NODE_EXTRA_CA_CERTS` does. @returns what ends that */
export function trustMailServers(): () => void {
  const before = getCACertificates('default')
  setDefaultCACertificates([...before, certificate.cert.toString()])
  return () => setDefaultCACertificates(before)
}

function refusal(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode })
}
