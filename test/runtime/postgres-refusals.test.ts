import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { parseTarget } from '../../runtime/postgres/postgres-target.ts'
import type { RestorablePostgres } from '../services/postgres.ts'
import { restorablePostgres } from '../services/postgres.ts'
import { failureOf } from './failure-of.ts'

const tls = join(import.meta.dirname, 'tls')
const pair = join(tls, 'localhost')
/** Authentication by role. Only this machine can connect. */
const rules = `
hostssl all only_tls all trust
host all only_tls all reject
host all by_md5 all md5
host all by_text all password
host all by_scram all scram-sha-256
hostssl all by_cert all cert
hostnossl all only_plain all trust
host all postgres all trust`

let server: RestorablePostgres
beforeAll(async () => {
  server = await restorablePostgres()
  const db = openPostgres(server.url)
  try {
    await db.script(`
      set password_encryption = 'md5'; create role by_md5 login password 'secret';
      set password_encryption = 'scram-sha-256'; create role by_scram login password 'secret';
      create role by_text login password 'secret'; create role only_tls login; create role by_cert login; create role only_plain login`)
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
      'it does not use TLS. Remove "sslmode" from LOCKSTEP_POSTGRES_URL, and PGSSLMODE from the environment, or set up TLS in PostgreSQL (ssl = on).',
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
        'self-signed certificate. Its certificate is not trusted: name the file of the authority that signed it in LOCKSTEP_POSTGRES_URL, "sslrootcert=/path/ca.pem".',
      )
      const trusted = `?sslmode=${mode}&sslrootcert=${pair}.crt`
      expect(await refusal(urlOf('only_tls', trusted, 'localhost'))).toBe('none')
      expect(await refusal(urlOf('only_tls', trusted))).toMatch(/ Use the host name of its certificate in LOCKSTEP_POSTGRES_URL\.$/)
    }
    expect(await refusal(urlOf('by_cert', '?sslmode=no-verify'))).toBe(
      'connection requires a valid client certificate. For a client certificate, name its files in LOCKSTEP_POSTGRES_URL: "sslcert=/path/client.crt" and "sslkey=/path/client.key".',
    )
    expect(warned).not.toHaveBeenCalled()
    warned.mockRestore()

    // the client takes these values for its options of TLS, and ends the process
    for (const query of ['?ssl=false', '?ssl=0', '?sslmode=disable&ssl=true']) expect(await refusal(urlOf('postgres', query))).toBe('none')
    const asClient = (name: string) => `?sslmode=no-verify&sslcert=${tls}/${name}.crt&sslkey=${tls}/${name}.key`
    expect(await refusal(urlOf('by_cert', asClient('localhost')))).toBe(
      'certificate authentication failed for user "by_cert". The common name (CN) of the client certificate must be the user in LOCKSTEP_POSTGRES_URL, or a map of PostgreSQL (pg_ident.conf) must allow it.',
    )
    expect(await refusal(urlOf('by_cert', asClient('first')))).toBe(
      'tlsv1 alert unknown ca. It wants a client certificate that is valid and signed by an authority in its ssl_ca_file: name its files in LOCKSTEP_POSTGRES_URL: "sslcert=/path/client.crt" and "sslkey=/path/client.key".',
    )
    expect(await refusal(urlOf('only_plain', '?sslmode=no-verify'))).toMatch(
      /SSL encryption\. .* If it allows them without TLS only, remove "sslmode" from LOCKSTEP_POSTGRES_URL\.$/,
    )
  })

  it('asks for a file of TLS that is gone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-tls-'))
    const ca = join(folder, 'ca.crt')
    copyFileSync(`${pair}.crt`, ca)
    const db = openPostgres(urlOf('postgres', `?sslmode=verify-full&sslrootcert=${ca}`))
    rmSync(folder, { recursive: true })
    try {
      const error = await failureOf(db.query('select 1'))
      expect(error).toMatchObject({ code: 'POSTGRES_UNAVAILABLE' })
      expect((error as Error).message).toContain(`open '${ca}'. LOCKSTEP_POSTGRES_URL names this file: put it back.`)
    } finally {
      await db.close()
    }
  })

  it('says of each of several servers what to correct', async () => {
    const hosts = `postgres@127.0.0.1:1,127.0.0.1:${new URL(server.url).port}`
    // each has 1.5 s to answer, which one that is paused may take
    await expect
      .poll(() => refusal(`postgres://${hosts}/none`), { timeout: 60_000 })
      .toMatch(/ECONNREFUSED .*; .*database "none" does not exist\. Create it, or correct LOCKSTEP_POSTGRES_URL\.$/)
  })
})

/** The TLS settings that the client gets. */
function tlsOf(query: string, host = 'host'): Record<string, string> {
  const { searchParams } = new URL(parseTarget(`postgres://${host}/db?${query}`).urls[0] ?? '')
  return Object.fromEntries([...searchParams].filter(([name]) => name.startsWith('ssl')))
}

describe('the parameters of TLS', () => {
  it.each([
    ['', {}],
    ['sslmode=', {}],
    ['ssl=true', { sslmode: 'verify-full' }],
    ['ssl=1', { sslmode: 'verify-full' }],
    ['ssl=no-verify', { sslmode: 'no-verify' }],
    ['ssl=0', { sslmode: 'disable' }],
    ['sslmode=allow', { sslmode: 'verify-full' }],
    ['sslrootcert=system', { sslmode: 'verify-full' }],
    ['sslrootcert=system&sslmode=require&uselibpqcompat=true', { sslmode: 'verify-full' }],
    ['sslmode=no-verify&uselibpqcompat=true', { sslmode: 'no-verify' }],
    ['sslnegotiation=direct', { sslmode: 'verify-full', sslnegotiation: 'direct' }],
    [`sslrootcert=${pair}.crt`, { sslmode: 'verify-full', sslrootcert: `${pair}.crt` }],
  ])('"%s" has one meaning', (query, expected) => expect(tlsOf(query)).toEqual(expected))

  it('do not count for a Unix socket', () => {
    const query = 'sslmode=verify-full&sslrootcert=/none&ssl=true'
    expect(tlsOf(`host=/run/postgresql&${query}`)).toEqual({ sslmode: 'disable' })
    expect(tlsOf(query, '%2Frun%2Fpostgresql')).toEqual({ sslmode: 'disable' })
  })

  it.each([
    ['sslmode=verify_full', 'has "sslmode=verify_full", which is no mode of TLS. Write one of disable, allow, prefer, require,'],
    ['ssl=on', 'has "ssl=on", which says nothing about TLS. Write "sslmode=verify-full" or "sslmode=disable".'],
    ['sslcert=/a', 'names a "sslcert" without a "sslkey". Name both files, or neither.'],
    ['sslkey=/a', 'names a "sslkey" without a "sslcert". Name both files, or neither.'],
    ['sslmode=verify-ca&uselibpqcompat=true', 'has "sslmode=verify-ca" and no "sslrootcert". Add "sslrootcert=/path/ca.pem", or write'],
    [
      'sslrootcert=/none/ca.pem',
      'The "sslrootcert" in LOCKSTEP_POSTGRES_URL cannot be used: the file "/none/ca.pem" cannot be read: there is no such file',
    ],
    [`sslrootcert=${pair}.key`, `The "sslrootcert" in LOCKSTEP_POSTGRES_URL cannot be used: the file "${pair}.key" has no certificate.`],
    [`sslcert=${pair}.crt&sslkey=${tls}/first.key`, 'The files "sslcert", "sslkey" in LOCKSTEP_POSTGRES_URL cannot be used: '],
  ])('are refused if they mean nothing: %s', (query, reason) => {
    expect(() => tlsOf(query)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(reason) }))
  })
})

it('a URL with the rules of libpq keeps its mode', () => {
  const query = 'uselibpqcompat=true&sslmode=require'
  expect(parseTarget(`postgres://host/db?${query}`).urls).toEqual([expect.stringContaining(query)])
  expect(parseTarget('postgres://host/a%2Fb')).toMatchObject({ urls: [expect.stringContaining('host/a/b?')], database: 'a/b' })
  expect(parseTarget('postgres://host/db?sslmode=no-verify').urls).toEqual([expect.stringContaining('sslmode=no-verify')])
})
