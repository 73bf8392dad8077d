import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'

/** The TLS and sign-in that a proxy before a broker requires of clients. */
export interface KafkaSecurity {
  /** `ca`: clients need a certificate of this authority. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca?: string }
  /** A user that must sign in, by PLAIN or SCRAM-SHA-512; null: none. */
  readonly user: KafkaUser | null
}

interface KafkaUser {
  readonly name: string
  readonly password: string
}

const [apiVersions, saslHandshake, saslAuthenticate] = [18, 17, 36]
const [unsupportedMechanism, failed] = [33, 58]

/**
 * Signs a client in as a broker of Kafka does, until it sends a request of another kind. It is the part of a broker
 * that the one of the tests lacks: that knows no PLAIN and cannot be given users.
 *
 * @returns what the client has sent after that
 */
export function signIn(client: Socket, user: KafkaUser): Promise<Buffer> {
  let received: Buffer = Buffer.alloc(0)
  let exchange: ((bytes: Buffer) => { answer: string; done: boolean } | null) | null = null
  return new Promise((resolve) => {
    const onData = (bytes: Buffer): void => {
      received = Buffer.concat([received, bytes])
      while (received.length >= 4 && received.length >= 4 + received.readInt32BE()) {
        const size = 4 + received.readInt32BE()
        const request = received.subarray(4, size)
        received = received.subarray(size)
        const done = answer(request)
        if (done) {
          client.off('data', onData)
          client.pause()
          return resolve(received)
        }
      }
    }
    client.on('data', onData)
  })

  function answer(request: Buffer): boolean {
    const key = request.readInt16BE(0)
    const body = request.subarray(10 + Math.max(0, request.readInt16BE(8)))
    const reply = (...parts: readonly Buffer[]): void => {
      const whole = Buffer.concat([request.subarray(4, 8), ...parts])
      client.write(Buffer.concat([int32(whole.length), whole]))
    }
    if (key === apiVersions) {
      const ranges = [apiVersions, 0, 1, saslHandshake, 1, 1, saslAuthenticate, 0, 0].map(int16)
      reply(int16(0), int32(ranges.length / 3), ...ranges, ...(request.readInt16BE(2) > 0 ? [int32(0)] : []))
    } else if (key === saslHandshake) {
      const mechanism = body.subarray(2).toString()
      exchange = mechanism === 'PLAIN' ? plain(user) : mechanism === 'SCRAM-SHA-512' ? scram(user) : null
      const known = ['PLAIN', 'SCRAM-SHA-512'].map((name) => Buffer.concat([int16(name.length), Buffer.from(name)]))
      reply(int16(exchange === null ? unsupportedMechanism : 0), int32(known.length), ...known)
    } else if (key === saslAuthenticate) {
      const said = exchange?.(body.subarray(4)) ?? null
      const text = Buffer.from(said?.answer ?? '')
      reply(int16(said === null ? failed : 0), int16(-1), int32(text.length), text)
      return said?.done ?? false
    } else client.destroy()
    return false
  }
}

/** Server side of RFC 4616. */
function plain({ name, password }: KafkaUser) {
  return (bytes: Buffer) => (bytes.toString() === `\0${name}\0${password}` ? { answer: '', done: true } : null)
}

/** Server side of RFC 5802, with SHA-512. */
function scram({ name, password }: KafkaUser) {
  const [salt, iterations] = [randomBytes(16), 4096]
  const salted = pbkdf2Sync(password, salt, iterations, 64, 'sha512')
  const hmac = (key: Buffer, text: string): Buffer => createHmac('sha512', key).update(text).digest()
  const storedKey = createHash('sha512').update(hmac(salted, 'Client Key')).digest()
  let [clientFirst, serverFirst] = ['', '']
  return (bytes: Buffer) => {
    const text = bytes.toString()
    const attribute = (of: string): string => new RegExp(`(?:^|,)${of}=([^,]*)`).exec(text)?.[1] ?? ''
    if (serverFirst === '') {
      if (attribute('n') !== name) return null
      clientFirst = text.replace(/^[ny],[^,]*,/, '')
      serverFirst = `r=${attribute('r')}${randomBytes(8).toString('hex')},s=${salt.toString('base64')},i=${iterations}`
      return { answer: serverFirst, done: false }
    }
    const authMessage = `${clientFirst},${serverFirst},${text.replace(/,p=.*$/, '')}`
    const [proof, signature] = [Buffer.from(attribute('p'), 'base64'), hmac(storedKey, authMessage)]
    if (proof.length !== signature.length) return null
    const clientKey = Buffer.from(proof.map((byte, i) => byte ^ (signature[i] ?? 0)))
    if (!timingSafeEqual(createHash('sha512').update(clientKey).digest(), storedKey)) return null
    return { answer: `v=${hmac(hmac(salted, 'Server Key'), authMessage).toString('base64')}`, done: true }
  }
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
