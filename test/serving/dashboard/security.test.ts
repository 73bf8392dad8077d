import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createContext } from '../../../cli/context.ts'
import { createTerminal } from '../../../cli/terminal.ts'
import { runningUiLink } from '../../../cli/ui-link.ts'
import { withContext } from '../../../cli/with-context.ts'
import { createKey, keysRevision, listKeys, revokeKey, rotateKey } from '../../../registry/keys/api-keys.ts'
import { leaveCode } from '../../../registry/keys/code-files.ts'
import type { Scope } from '../../../registry/keys/scope.ts'
import { loadConfig } from '../../../runtime/config.ts'
import { defaultUi } from '../../../runtime/settings/ui-settings.ts'
import { issueCode } from '../../../registry/keys/dashboard-sessions.ts'
import { until } from '../gate.ts'
import type { World } from '../world.ts'
import { ask, createWorld } from '../world.ts'
import type { Visitor } from './visitor.ts'
import { createVisitor } from './visitor.ts'

let world: World
let url: string
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-pages-'))
  await mkdir(join(folder, 'assets'))
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>Lockstep</title>')
  await writeFile(join(folder, 'assets', 'main-1a2b.js'), 'console.log(1)')
  await writeFile(join(folder, 'secret.js'), 'no asset')
  world = await createWorld('embedded')
  await world.materialize('airport_required')
  const served = await world.serve({ uiFolder: async () => folder })
  url = served.url
  await served.server.whenReady()
})
afterAll(async () => {
  await world?.close()
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
})

const keyWith = async (...scopes: Scope[]) =>
  await createKey(world.db, { name: 'ui', scopes, requestsPerSecond: null, rowsPerSecond: null, expiresAt: null })

async function loggedIn(): Promise<Visitor> {
  const visitor = createVisitor(url)
  expect((await visitor.login(world.db)).status).toBe(201)
  return visitor
}

/** Waits until the use of a session is noted. */
async function noted(): Promise<void> {
  const seen = `select from lockstep.ui_sessions where seen_at > now() - interval '1 minute'`
  await until(async () => (await world.db.query(seen)).length > 0)
}

describe('the pages of the dashboard', () => {
  it('are index.html under every path, which is never stored', async () => {
    for (const path of ['/ui/', '/ui/catalog', '/ui/models/delay/3']) {
      const { status, headers, text } = await createVisitor(url).ask(path)
      expect([path, status, headers['cache-control'], text]).toEqual([path, 200, 'no-store', '<!doctype html><title>Lockstep</title>'])
    }
    expect(await createVisitor(url).ask('/ui')).toMatchObject({ status: 308, headers: { location: '/ui/' } })
  })

  it('have assets that never change, and no other file', async () => {
    const { ask: get } = createVisitor(url)
    expect(await get('/ui/assets/main-1a2b.js')).toMatchObject({
      status: 200,
      headers: { 'cache-control': 'public, max-age=31536000, immutable', 'content-type': 'text/javascript; charset=utf-8' },
    })
    for (const path of ['/ui/assets/other.js', '/ui/assets/..%2Fsecret.js', '/ui/assets/%2e%2e%2fsecret.js'])
      expect(await get(path)).toMatchObject({ status: 404, body: { error: { code: 'NOT_FOUND' } } })
  })

  it('come with headers that forbid foreign scripts, frames and guesses, in errors as well', async () => {
    for (const path of ['/ui/', '/ui/assets/none.js', '/ui/api/now', '/ui/api/nothing', '/%75i/api/now']) {
      const { headers } = await createVisitor(url).ask(path)
      expect(headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
      expect(headers['content-security-policy']).toContain("require-trusted-types-for 'script'; trusted-types 'none'")
      expect(headers).toMatchObject({
        'x-frame-options': 'DENY',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': 'no-store',
      })
      expect(headers['access-control-allow-origin']).toBeUndefined()
    }
  })
})

describe('a session of the dashboard', () => {
  it('begins with a one-time code, once', async () => {
    const code = await issueCode(world.db, 'ann@laptop')
    const visitor = createVisitor(url)
    const first = await visitor.ask('/ui/session', { method: 'POST', body: { code } })
    expect(first.status).toBe(201)
    expect(first.headers['set-cookie']?.[0]).toMatch(/^lockstep_\d+=[\w-]{86}; HttpOnly; SameSite=Strict; Path=\/ui$/)
    expect(await visitor.ask('/ui/session', { method: 'POST', body: { code } })).toMatchObject({ status: 401 })
    const late = await issueCode(world.db, 'ann@laptop', -1)
    expect(await visitor.ask('/ui/session', { method: 'POST', body: { code: late } })).toMatchObject({ status: 401 })
  })

  it('begins with a code that was left in the folder of the embedded database, once', async () => {
    const served = await world.serve({ embeddedDirectory: folder, uiFolder: async () => folder })
    await served.server.whenReady()
    const login = async (code: string) => (await createVisitor(served.url).ask('/ui/session', { method: 'POST', body: { code } })).status
    const code = await leaveCode(folder, 'ann@laptop', 60)
    const seen = await Promise.all([login(code), login(code)])
    expect(seen.toSorted((a, b) => a - b)).toEqual([201, 401])
    expect(await login(await leaveCode(folder, 'ann@laptop', -1))).toBe(401)
    expect(await login('../codes')).toBe(401)
    // a server of another folder does not know it
    const elsewhere = { method: 'POST', body: { code: await leaveCode(folder, 'ann@laptop', 60) } }
    expect(await createVisitor(url).ask('/ui/session', elsewhere)).toMatchObject({ status: 401 })
    const [file = ''] = await readdir(join(folder, 'codes'))
    expect((await stat(join(folder, 'codes', file))).mode & 0o077).toBe(0)
    // root would give away what a link leads to, and delete old files there
    const linked = await mkdtemp(join(folder, 'linked-'))
    await symlink(join(folder, 'assets'), join(linked, 'codes'))
    await expect(leaveCode(linked, 'ann@laptop', -1)).rejects.toThrow('is not a folder, but a link')
    expect(await readdir(join(folder, 'assets'))).toEqual(['main-1a2b.js'])
  })

  it('says who is logged in, and nothing to others', async () => {
    const visitor = await loggedIn()
    expect(await visitor.ask('/ui/api/session')).toMatchObject({ status: 200, body: { data: { signedIn: true, actor: 'ann@laptop' } } })
    visitor.cookie = null
    expect((await visitor.ask('/ui/api/session')).body.data).toEqual({
      signedIn: false,
      actor: null,
      scopes: [],
      since: null,
      readOnly: false,
      version: null,
      commandUrl: null,
      defaultAsOf: null,
    })
    expect(await visitor.ask('/ui/api/now')).toMatchObject({ status: 401, body: { error: { code: 'UNAUTHENTICATED' } } })
  })

  it('is not stored, only its hash is', async () => {
    const { cookie } = await loggedIn()
    const rows = await world.db.query<{ all: string }>('select t::text as all from lockstep.ui_sessions t', [])
    expect(rows.length).toBeGreaterThan(0)
    expect(rows.some((row) => row.all.includes(cookie?.split('=')[1] ?? '?'))).toBe(false)
  })

  it('that is invented costs no query', async () => {
    const changed = (text: string, at: number) => `${text.slice(0, at)}${text[at] === 'A' ? 'E' : 'A'}${text.slice(at + 1)}`
    const visitor = await loggedIn()
    const [name = '', secret = ''] = visitor.cookie?.split('=') ?? []
    expect(await visitor.ask('/ui/api/now')).toMatchObject({ status: 200 })
    await world.db.query('alter table lockstep.ui_sessions rename to hidden_sessions')
    const invented = ['', 'short', randomBytes(64).toString('base64url'), changed(secret, 0), changed(secret, 85)]
    const seen: (number | undefined)[] = []
    for (const each of invented) seen.push((await visitor.ask('/ui/api/now', { headers: { cookie: `${name}=${each}` } })).status)
    const asked = { cookie: `${name}=${invented[2]}` }
    const out = await visitor.ask('/ui/session', { method: 'DELETE', headers: asked })
    const anyone = await visitor.ask('/ui/api/session', { headers: asked })
    const own = await visitor.ask('/ui/api/now')
    await world.db.query('alter table lockstep.hidden_sessions rename to ui_sessions')
    expect(seen).toEqual(invented.map(() => 401))
    expect([out.status, anyone.status, own.status]).toEqual([200, 200, 500])
    expect(await visitor.ask('/ui/api/now')).toMatchObject({ status: 200 })
  })

  it('goes on while its use cannot be noted', async () => {
    const visitor = await loggedIn()
    await world.db.query(`update lockstep.ui_sessions set seen_at = now() - interval '2 minutes'`, [])
    await world.db.kysely.transaction().execute(async (transaction) => {
      await sql`lock table lockstep.ui_sessions in exclusive mode`.execute(transaction)
      expect(await visitor.ask('/ui/api/now')).toMatchObject({ status: 200 })
    })
    await noted()
  })

  it('ends at log-out', async () => {
    const visitor = await loggedIn()
    const out = await visitor.ask('/ui/session', { method: 'DELETE' })
    expect(out).toMatchObject({ status: 200, headers: { 'clear-site-data': '"cache", "storage"' } })
    expect(await visitor.ask('/ui/api/now')).toMatchObject({ status: 401 })
  })

  it('ends after 30 idle minutes, and after 12 hours', async () => {
    const visitor = await loggedIn()
    await world.db.query(`update lockstep.ui_sessions set seen_at = now() - interval '29 minutes'`, [])
    expect(await visitor.ask('/ui/api/now')).toMatchObject({ status: 200 })
    await noted()
    await world.db.query(`update lockstep.ui_sessions set seen_at = now() - interval '31 minutes'`, [])
    expect(await visitor.ask('/ui/api/now')).toMatchObject({ status: 401 })
    const other = await loggedIn()
    await world.db.query(`update lockstep.ui_sessions set expires_at = now()`, [])
    expect(await other.ask('/ui/api/now')).toMatchObject({ status: 401 })
  })
})

describe('a page of another origin', () => {
  const foreign: readonly (readonly [string, Record<string, string | null>])[] = [
    ['without the own header', { 'x-lockstep-ui': null }],
    ['of another site', { 'sec-fetch-site': 'cross-site' }],
    ['of the same site', { 'sec-fetch-site': 'same-site' }],
    ['of another origin', { 'sec-fetch-site': null, origin: 'https://evil.example' }],
    ['of another port', { 'sec-fetch-site': null, origin: 'http://127.0.0.1:1' }],
    ['without an origin that it has', { origin: 'null' }],
  ]

  it.each(foreign)('gets nothing, and changes nothing: %s', async (_, headers) => {
    const visitor = await loggedIn()
    expect(await visitor.ask('/ui/api/now', { headers })).toMatchObject({ status: 403, body: { error: { code: 'FORBIDDEN' } } })
    expect(await visitor.ask('/ui/session', { method: 'DELETE', headers })).toMatchObject({ status: 403 })
    expect(await visitor.ask('/ui/api/now')).toMatchObject({ status: 200 })
  })

  it('cannot send a form, or a body without a type', async () => {
    const visitor = await loggedIn()
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data', null]) {
      const headers = { 'content-type': type }
      expect(await visitor.ask('/ui/session', { method: 'POST', headers, body: {} })).toMatchObject({ status: 415 })
    }
    const without = { origin: null, 'sec-fetch-site': null }
    expect(await visitor.ask('/ui/session', { method: 'DELETE', headers: without })).toMatchObject({ status: 403 })
  })

  it('is not asked in advance either', async () => {
    const headers = {
      origin: 'https://evil.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'x-lockstep-ui',
    }
    const served = await world.serve({
      config: { bodyLimitBytes: 1000, corsOrigins: ['https://evil.example'] },
      uiFolder: async () => folder,
    })
    for (const path of ['/ui/session', '/ui/api/now', '/ui/']) {
      const seen = await createVisitor(served.url).ask(path, { method: 'OPTIONS', headers })
      expect(seen.headers['access-control-allow-origin']).toBeUndefined()
      expect(seen.headers['access-control-allow-headers']).toBeUndefined()
    }
  })

  it('cannot come under a name of its own', async () => {
    const visitor = await loggedIn()
    const { port } = new URL(url)
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1', 'localhost:1', `10.0.0.1:${port}`, `x.localhost:${port}`]) {
      for (const path of ['/ui/', '/ui/api/now', '/ui/api/session', '/%75i/api/now', '/ui/nothing', '/ui/assets/main-1a2b.js'])
        expect(await visitor.ask(path, { headers: { host } })).toMatchObject({ status: 421, body: { error: { code: 'MISDIRECTED' } } })
    }
    for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, `LOCALHOST:${port}`])
      expect(await visitor.ask('/ui/api/session', { headers: { host } })).toMatchObject({ status: 200 })
  })
})

describe('keys', () => {
  it('begin a session, which ends once they are revoked, rotated or expired', async () => {
    const end: Record<string, (id: string) => Promise<unknown>> = {
      revoked: (id) => revokeKey(world.db, id),
      rotated: (id) => rotateKey(world.db, id, { overlapMs: 60_000 }),
      expired: (id) => world.db.query('update lockstep.api_keys set expires_at = now() where id = $1', [id]),
    }
    for (const [how, ends] of Object.entries(end)) {
      const { text, key } = await keyWith('ui:operate')
      const visitor = createVisitor(url)
      expect(await visitor.login(world.db, { key: text })).toMatchObject({ status: 201 })
      const seen = await visitor.ask('/ui/api/session')
      expect(seen.body.data).toMatchObject({ actor: key.id, scopes: ['ui:read', 'ui:operate'] })
      await ends(key.id)
      expect([how, (await visitor.ask('/ui/api/now')).status]).toEqual([how, 401])
    }
  })

  it('open no other door: a key not under /ui/api, a cookie not under /v1', async () => {
    const { text, key } = await keyWith('admin')
    const { text: ui } = await keyWith('ui:admin')
    const served = await world.serve({ uiFolder: async () => folder })
    await served.server.whenReady()
    const visitor = createVisitor(served.url)
    const bearer = { authorization: `Bearer ${text}` }
    expect(await visitor.ask('/ui/api/now', { headers: bearer })).toMatchObject({ status: 401 })
    expect(await visitor.ask('/ui/api/now', { headers: { 'x-api-key': text } })).toMatchObject({ status: 401 })
    expect(await visitor.login(world.db, { key: text })).toMatchObject({ status: 201 })
    expect(await visitor.ask('/ui/api/now')).toMatchObject({ status: 200 })
    expect(await visitor.ask('/v1/alerts')).toMatchObject({ status: 401, body: { error: { code: 'UNAUTHENTICATED' } } })
    expect(await ask(served.url, '/v1/alerts', undefined, bearer)).toMatchObject({ status: 200 })
    expect(await ask(served.url, '/v1/alerts', undefined, { authorization: `Bearer ${ui}` })).toMatchObject({ status: 403 })
    await revokeKey(world.db, key.id)
  })

  it('are created once where a request is sent again with its idempotency key, and no secret is kept', async () => {
    const ann = await loggedIn()
    const again = { 'idempotency-key': 'first-try', 'if-match': String(await keysRevision(world.db)) }
    const body = { name: 'retried', scopes: ['read'], reason: 'the answer got lost' }
    const send = (headers: Record<string, string>, sent: object = body) => ann.ask('/ui/api/keys', { method: 'POST', headers, body: sent })
    const first = await send(again)
    const { id, secret } = first.body.data as { id: string; secret: string }
    expect(secret).toMatch(/^lockstep_sk_/)
    expect(await send(again)).toMatchObject({
      status: 200,
      headers: { 'idempotency-replayed': 'true' },
      body: { data: { id, secret: null } },
    })
    expect(await send(again, { ...body, name: 'other' })).toMatchObject({ body: { error: { code: 'IDEMPOTENCY_KEY_REUSED' } } })
    expect((await listKeys(world.db)).filter(({ name }) => name === 'retried')).toHaveLength(1)
    const kept = await world.db.query<{ body: Uint8Array }>(`select body from lockstep.idempotency_keys where key = 'first-try'`, [])
    expect(kept.map((row) => Buffer.from(row.body).toString())).toEqual([expect.not.stringContaining(secret)])
    // a session of somebody else has keys of its own
    const bob = createVisitor(url)
    const { text } = await keyWith('ui:admin')
    await bob.login(world.db, { key: text })
    const headers = { ...again, 'if-match': String(await keysRevision(world.db)) }
    const others = await bob.ask('/ui/api/keys', { method: 'POST', headers, body })
    expect((others.body.data as { id: string }).id).not.toBe(id)
  })

  it('are refused if they are not for the dashboard, unknown, or tried too fast', async () => {
    const { text } = await keyWith('read', 'predict', 'push', 'metrics', 'explain:read')
    const served = await world.serve()
    await served.server.whenReady()
    const { login } = createVisitor(served.url)
    expect(await login(world.db, { key: text })).toMatchObject({ status: 403, body: { error: { code: 'FORBIDDEN' } } })
    const { text: other } = await keyWith('ui:read')
    const { text: tried, key: own } = await keyWith('ui:read')
    await revokeKey(world.db, own.id)
    const statuses: number[] = []
    for (let i = 0; i < 12; i++) statuses.push((await login(world.db, { key: tried })).status)
    expect(statuses[0]).toBe(401)
    expect(statuses.at(-1)).toBe(429)
    // people behind one proxy have one address
    expect(await login(world.db, { key: other })).toMatchObject({ status: 201 })
    expect(await login(world.db)).toMatchObject({ status: 201 })
  })
})

describe('where other machines reach the server', () => {
  const config = (ui: object) => ({ bodyLimitBytes: 1000, ui: { ...defaultUi, ...ui } })

  it('the dashboard is off until it is turned on and a key for it exists', async () => {
    const far = async (ui: object) => {
      const served = await world.serve({ config: config(ui), uiFolder: async () => folder }, { host: '0.0.0.0' })
      await served.server.whenReady()
      return createVisitor(`http://127.0.0.1:${new URL(served.url).port}`)
    }
    await world.db.query(`update lockstep.api_keys set revoked_at = now() where scopes && array['ui:read', 'ui:operate', 'ui:admin']`, [])
    await keyWith('read')
    const [auto, on] = [await far({}), await far({ mode: 'on' })]
    expect(await auto.ask('/ui/')).toMatchObject({ status: 404 })
    expect(await on.ask('/ui/')).toMatchObject({ status: 404 })
    const { text } = await keyWith('ui:read')
    await expect.poll(async () => (await on.ask('/ui/')).status).toBe(200)
    expect(await auto.ask('/ui/')).toMatchObject({ status: 404 })
    expect(await (await far({ mode: 'off' })).ask('/ui/')).toMatchObject({ status: 404 })
    expect(await on.login(world.db, { key: text })).toMatchObject({ status: 201 })
    expect(await on.ask('/ui/api/now')).toMatchObject({ status: 200 })
    // "lockstep ui" prints a link only where it opens
    const link = async ({ url: at }: Visitor, more: Record<string, string> = {}) => {
      const env = { LOCKSTEP_LOG_LEVEL: 'silent', LOCKSTEP_POSTGRES_URL: world.postgresUrl, LOCKSTEP_HOST: '0.0.0.0' }
      const config = loadConfig({ ...env, LOCKSTEP_PORT: new URL(at).port, ...more })
      const context = createContext(config, createTerminal(true), new AbortController().signal)
      return await withContext(context, () => runningUiLink(context))
    }
    const { port } = new URL(on.url)
    expect(await link(on)).toMatch(new RegExp(`^http://localhost:${port}/ui/#code=[\\w-]{43}$`))
    // a server may not reach itself by its public name
    const LOCKSTEP_PUBLIC_URL = 'http://127.0.0.1:1'
    expect(await link(on, { LOCKSTEP_PUBLIC_URL })).toMatch(/^http:\/\/127\.0\.0\.1:1\/ui\/#code=/)
    await expect(link(auto)).rejects.toThrow('The dashboard is off. Where other machines reach the server, it needs LOCKSTEP_UI set to on')
    await expect(link(on, { LOCKSTEP_PORT: '1' })).rejects.toThrow('No server answers at "http://localhost:1"')
    const silent = createServer()
    await once(silent.listen(0, '127.0.0.1'), 'listening')
    const LOCKSTEP_PORT = String((silent.address() as AddressInfo).port)
    const silence = { LOCKSTEP_HOST: '127.0.0.1', LOCKSTEP_PORT, LOCKSTEP_SERVER_SILENCE_SECONDS: '1' }
    await expect(link(on, silence)).rejects.toThrow('accepts connections, and sent nothing for 2 s')
    silent.close()
  })

  it('a public URL is a name of the server, and keys need HTTPS', async () => {
    const { text } = await keyWith('ui:read')
    const login = async (publicUrl: string, more: object = {}) => {
      const served = await world.serve({ config: config({ publicUrl: new URL(publicUrl), ...more }) })
      await served.server.whenReady()
      const host = new URL(publicUrl).host
      const headers = { host, origin: publicUrl, authorization: `Bearer ${text}` }
      return await createVisitor(served.url).ask('/ui/session', { method: 'POST', headers, body: {} })
    }
    const safe = await login('https://features.example')
    expect(safe.status).toBe(201)
    expect(safe.headers['set-cookie']?.[0]).toMatch(/^__Host-lockstep=[\w-]{86}; HttpOnly; SameSite=Strict; Secure; Path=\/$/)
    expect(safe.headers['strict-transport-security']).toBe('max-age=31536000')
    expect(await login('http://features.example')).toMatchObject({ status: 403, body: { error: { code: 'FORBIDDEN' } } })
    expect(await login('http://features.example', { insecure: true })).toMatchObject({ status: 201 })
  })

  it('an address of its own has the dashboard and nothing else', async () => {
    const served = await world.serve({ config: config({ listen: { host: '127.0.0.1', port: 0 } }), uiFolder: async () => folder })
    await served.server.whenReady()
    expect(await createVisitor(served.url).ask('/ui/')).toMatchObject({ status: 404 })
    const { uiUrl } = served
    const visitor = createVisitor(uiUrl ?? '')
    expect(await visitor.ask('/ui/')).toMatchObject({ status: 200 })
    expect(await visitor.login(world.db)).toMatchObject({ status: 201 })
    expect(await visitor.ask('/ui/api/now')).toMatchObject({ status: 200 })
    expect(await visitor.ask('/v1/alerts')).toMatchObject({ status: 404 })
  })
})
