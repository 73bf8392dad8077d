import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openPostgres } from '../../runtime/open-postgres.ts'
import { parseTarget } from '../../runtime/postgres-target.ts'
import type { RestorablePostgres } from '../services/postgres.ts'
import { restorablePostgres } from '../services/postgres.ts'
import { failureOf } from './failure-of.ts'

const pair = join(import.meta.dirname, 'tls/localhost')
/** Authentication by role. Only this machine can connect. */
const rules = `
hostssl all only_tls all trust
host all only_tls all reject
host all by_md5 all md5
host all by_text all password
host all by_scram all scram-sha-256
hostssl all by_cert all cert
host all postgres all trust`

let server: RestorablePostgres
beforeAll(async () => {
  server = await restorablePostgres()
  const db = openPostgres(server.url)
  try {
    await db.script(`
      set password_encryption = 'md5'; create role by_md5 login password 'secret';
      set password_encryption = 'scram-sha-256'; create role by_scram login password 'secret';
      create role by_text login password 'secret'; create role only_tls login; create role by_cert login`)
    const [{ data } = { data: '' }] = await db.query<{ data: string }>(`select current_setting('data_directory') as data`)
    const write = async (file: string, text: string): Promise<void> =>
      await db.script(
        `copy (select unnest(string_to_array($text$${text.trim()}$text$, E'\\n'))) to program 'cat > "${data}/${file}"; chmod 600 "${data}/${file}"'`,
      )
    await write('server.crt', readFileSync(`${pair}.crt`, 'utf8'))
    await write('server.key', readFileSync(`${pair}.key`, 'utf8'))
    await write('pg_hba.conf', rules)
    await db.script(`select pg_reload_conf()`)
  } finally {
    await db.close()
  }
})
afterAll(() => server?.remove())

/** The server's URL with another user, and with parameters. */
function urlOf(user: string, query = '', host = '127.0.0.1'): string {
  const url = new URL(server.url)
  return `postgres://${user}@${host}:${url.port}/postgres${query}`
}

async function refusal(url: string): Promise<string> {
  const db = openPostgres(url)
  try {
    const error = await failureOf(db.query('select 1'))
    if (error === null) return 'none'
    expect(error).toMatchObject({ code: 'POSTGRES_UNAVAILABLE' })
    return (error as Error).message.replace(/^PostgreSQL at "[^"]+" cannot be used: /, '')
  } finally {
    await db.close()
  }
}

describe('a PostgreSQL that cannot be used', () => {
  it.each(['by_md5', 'by_text', 'by_scram'])('says that the password is missing or wrong: %s', async (role) => {
    const wrong = `password authentication failed for user "${role}". Correct the user and the password in LOCKSTEP_POSTGRES_URL.`
    const none =
      'it requires a password, and got none. Put the password into LOCKSTEP_POSTGRES_URL, as in postgres://user:password@host:5432/database.'
    // the server reads its rules soon after it was told to
    await expect.poll(() => refusal(urlOf(`${role}:wrong`)), { timeout: 60_000 }).toBe(wrong)
    // the client sends an MD5 sum even of no password
    expect(await refusal(urlOf(role))).toBe(role === 'by_md5' ? wrong : none)
    expect(await refusal(urlOf(`${role}:secret`))).toBe('none')
  })

  it('names a user and a database that it does not know', async () => {
    expect(await refusal(urlOf('nobody:secret'))).toMatch(
      /^no pg_hba\.conf entry .* Allow this user, database and host in the pg_hba\.conf of /,
    )
    expect(await refusal(urlOf('postgres').replace(/postgres$/, 'none'))).toBe(
      'database "none" does not exist. Create it, or correct LOCKSTEP_POSTGRES_URL.',
    )
  })

  it('says that it does not use TLS, or requires it', async () => {
    expect(await refusal(urlOf('postgres', '?sslmode=verify-full'))).toBe(
      'it does not use TLS. Remove "sslmode" from LOCKSTEP_POSTGRES_URL, or set up TLS in PostgreSQL (ssl = on).',
    )
    expect(await refusal(urlOf('only_tls'))).toMatch(
      /pg_hba\.conf rejects .* If it allows them by TLS only, add "sslmode=verify-full" to LOCKSTEP_POSTGRES_URL\.$/,
    )
  })

  it('checks the certificate in each mode of TLS, without a warning', async () => {
    const warned = vi.spyOn(process, 'emitWarning')
    const db = openPostgres(server.url)
    await db.script(`alter system set ssl = on`)
    await db.script(`alter system set ssl_ca_file = 'server.crt'`)
    await db.script(`select pg_reload_conf()`)
    await db.close()
    await expect.poll(() => refusal(urlOf('only_tls', '?sslmode=no-verify')), { timeout: 60_000 }).toBe('none')
    for (const mode of ['prefer', 'require', 'verify-ca', 'verify-full']) {
      expect(await refusal(urlOf('only_tls', `?sslmode=${mode}`))).toBe(
        'self-signed certificate. Its certificate is not trusted: add "sslrootcert=/path/ca.pem", the file of the authority that signed it, to LOCKSTEP_POSTGRES_URL.',
      )
      const trusted = `?sslmode=${mode}&sslrootcert=${pair}.crt`
      expect(await refusal(urlOf('only_tls', trusted, 'localhost'))).toBe('none')
      expect(await refusal(urlOf('only_tls', trusted))).toMatch(/ Use the host name of its certificate in LOCKSTEP_POSTGRES_URL\.$/)
    }
    expect(await refusal(urlOf('by_cert', '?sslmode=no-verify'))).toBe(
      'connection requires a valid client certificate. For a client certificate, add "sslcert=/path/client.crt" and "sslkey=/path/client.key" to LOCKSTEP_POSTGRES_URL.',
    )
    expect(warned).not.toHaveBeenCalled()
    warned.mockRestore()
  })
})

it('a URL with the rules of libpq keeps its mode', () => {
  const query = 'uselibpqcompat=true&sslmode=require'
  expect(parseTarget(`postgres://host/db?${query}`).urls).toEqual([expect.stringContaining(query)])
  expect(parseTarget('postgres://host/a%2Fb')).toMatchObject({ urls: [expect.stringContaining('host/a/b?')], database: 'a/b' })
  expect(parseTarget('postgres://host/db?sslmode=no-verify').urls).toEqual([expect.stringContaining('sslmode=no-verify')])
})
