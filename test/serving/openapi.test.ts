import { Validator } from '@seriousme/openapi-schema-validator'
import { describe, expect, it } from 'vitest'
import { timeoutInHeader } from '../../serving/traffic/request-deadline.ts'
import { jobKinds } from '../../runtime/jobs/job-kinds.ts'
import { routes } from '../../serving/protocols/http/routes.ts'
import { docsPage } from '../../serving/protocols/http/openapi/docs-page.ts'
import { openApi } from '../../serving/protocols/http/openapi/openapi.ts'
import type { Operation } from '../../serving/protocols/http/openapi/openapi.ts'

const document = openApi(routes, '1.2.3')
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods))

function operationOf(method: string, path: string): Operation | undefined {
  return document.paths[path.replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')]?.[method.toLowerCase()]
}

/** The parts of a JSON schema that the tests read. */
interface Fields {
  readonly type?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, Fields>>
  readonly items?: Fields
}

function nameOf(ref: string): string {
  return ref.split('/').at(-1) ?? ''
}

describe('the OpenAPI document', () => {
  it('is one of OpenAPI 3.1', async () => {
    const result = await new Validator().validate(structuredClone(document))
    expect(result).toMatchObject({ valid: true })
    expect(document.openapi).toMatch(/^3\.1\./)
  })

  it('describes every route once, with a name of its own, its scope and its parameters', () => {
    expect(operations).toHaveLength(routes.length)
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(routes.length)
    for (const { method, path, scope, summary } of routes) {
      const operation = operationOf(method, path)
      expect(operation).toMatchObject({ summary, security: scope === null ? [] : [{ key: [] }, {}] })
      const names = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name)
      const inPath = (operation?.parameters ?? []).filter((parameter) => 'in' in parameter && parameter.in === 'path')
      expect(inPath.map((parameter) => 'name' in parameter && parameter.name)).toEqual(names)
    }
  })

  it('names every kind of job', () => {
    const [, named] = /"The kind of job: ([^"]*)"/.exec(JSON.stringify(document)) ?? []
    expect(named?.split(', ')).toEqual(jobKinds)
  })

  it('has a body for each good answer but 204', () => {
    for (const { method, path, status = 200 } of routes) {
      for (const good of [status].flat()) {
        const types = Object.keys(operationOf(method, path)?.responses[good]?.content ?? {})
        expect(types.length > 0, `${method} ${path} ${good}`).toBe(good !== 204)
      }
    }
  })

  it('has no dangling references', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/([^"]+)"/g)]
    expect(refs.length).toBeGreaterThan(routes.length)
    const parts = document.components as Readonly<Record<string, Readonly<Record<string, unknown>>>>
    for (const [ref, kind = '', name = ''] of refs) expect(parts[kind]?.[name], ref).toBeDefined()
  })

  it('documents the headers that each route accepts and returns', () => {
    for (const { method, path, scope, errors = 'lockstep', status = 200, isStreamed } of routes) {
      const { parameters = [], responses = {} } = operationOf(method, path) ?? {}
      const taken = parameters.flatMap((parameter) => ('$ref' in parameter ? nameOf(parameter.$ref) : []))
      const isInfer = path.endsWith('/infer')
      const isChange = (method === 'POST' || method === 'DELETE') && (scope === 'push' || scope === 'admin') && isStreamed !== true
      expect(taken, path).toEqual([
        ...(scope === null ? [] : ['X-Request-Timeout-Ms']),
        'X-Request-Id',
        'traceparent',
        ...(isInfer ? ['Inference-Header-Content-Length'] : []),
        ...(isChange ? ['Idempotency-Key'] : []),
        ...(isStreamed === true ? [method === 'POST' ? 'Upload-Length' : 'Upload-Offset'] : []),
      ])
      for (const good of [status].flat()) {
        expect(Object.keys(responses[good]?.['headers'] ?? {}), path).toEqual([
          'x-request-id',
          'traceparent',
          ...(isInfer ? ['inference-header-content-length'] : []),
          ...(isChange ? ['idempotency-replayed'] : []),
          ...(path === '/get-online-features' ? ['lockstep-degraded', 'lockstep-stale-ms', 'lockstep-late'] : []),
        ])
      }
      const { 429: limited, 503: away, 504: late } = responses
      if (scope === null) {
        expect([limited, late], path).toEqual([undefined, undefined])
      } else {
        const name = { lockstep: 'Error', oip: 'OipError', feast: 'FeastError' }[errors]
        expect(
          [limited, away, late].map((response) => nameOf(String(response?.['$ref']))),
          path,
        ).toEqual([`${name}Later`, `${name}Later`, name])
      }
    }
    expect(document.components['responses']).toMatchObject({
      OipErrorLater: { headers: { 'x-request-id': {}, 'retry-after': { $ref: '#/components/headers/retry-after' } } },
    })
  })

  it('allows the timeouts that the server takes', () => {
    const { schema } = document.components.parameters['X-Request-Timeout-Ms'] ?? {}
    const { minimum, maximum } = schema as { minimum: number; maximum: number }
    expect([minimum, maximum].map((ms) => timeoutInHeader(String(ms)))).toEqual([minimum, maximum])
    for (const ms of [minimum - 1, maximum + 1]) expect(() => timeoutInHeader(String(ms))).toThrow('X-Request-Timeout-Ms')
  })

  it('has binary tensors in both directions, only where a model runs on tensors', () => {
    for (const { method, path, produces } of routes) {
      if (produces === 'application/octet-stream') continue
      const { requestBody, responses } = operationOf(method, path) ?? {}
      const types = path.endsWith('/infer') ? ['application/json', 'application/octet-stream'] : null
      const others = (content: object | undefined) => Object.keys(content ?? {}).filter((type) => type === 'application/octet-stream')
      if (types === null) expect([...others(requestBody?.content), ...others(responses?.['200']?.content)], path).toEqual([])
      else
        expect(
          [requestBody, responses?.['200']].map((of) => Object.keys(of?.content ?? {})),
          path,
        ).toEqual([types, types])
    }
  })

  it('offers Arrow beside JSON only where answers are tables', () => {
    const offering = routes.filter(({ method, path }) => {
      const { content = {} } = operationOf(method, path)?.responses['200'] ?? {}
      return Object.hasOwn(content, 'application/vnd.apache.arrow.stream') && Object.hasOwn(content, 'application/json')
    })
    expect(offering.map(({ path }) => path)).toEqual(['/v1/features', '/v1/predict'])
  })

  it('has valid examples for the routes', () => {
    for (const { path, body, example } of routes) {
      if (body === undefined || example === undefined) continue
      expect(body.safeParse(example), path).toMatchObject({ success: true })
    }
  })
})

describe('every field of a request', () => {
  const fields = (schema: Fields, at: string): [string, Fields][] =>
    Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [
      [`${at}.${name}`, field] as [string, Fields],
      ...fields(field, `${at}.${name}`),
      ...fields(field.items ?? {}, `${at}.${name}[]`),
    ])
  const all = routes.flatMap(({ method, path }) => {
    const { requestBody, parameters = [] } = operationOf(method, path) ?? {}
    const body = fields(requestBody?.content['application/json']?.schema ?? {}, `${method} ${path}`)
    const inQuery = parameters.flatMap((each): [string, Fields][] =>
      'in' in each && each.in === 'query' ? [[`${path}?${each.name}`, each.schema as Fields]] : [],
    )
    return [...body, ...inQuery]
  })

  it('has a description', () => {
    expect(all.length).toBeGreaterThan(40)
    expect(all.filter(([, { description = '' }]) => description === '').map(([at]) => at)).toEqual([])
  })

  it('has one in answers too, unless it has nested fields', () => {
    const told = operations.flatMap(({ operationId, responses }) =>
      Object.values(responses).flatMap(({ content }) => fields(content?.['application/json']?.schema ?? {}, operationId)),
    )
    const isInner = ({ properties, items }: Fields) => properties !== undefined || items?.properties !== undefined
    expect(told.filter(([, field]) => !isInner(field) && field.description === undefined).map(([at]) => at)).toEqual([])
  })

  it('documents the items of an array', () => {
    const lists = all.filter(([, { type }]) => type === 'array')
    expect(lists.filter(([, { items }]) => items === undefined).map(([at]) => at)).toEqual([])
    expect(all.find(([at]) => at === 'POST /v1/features.entities')?.[1].items).toMatchObject({ type: 'object' })
  })
})

describe('the page on the interface', async () => {
  const { html, contentSecurityPolicy } = await docsPage(document)

  it('shows every operation, and is self-contained', () => {
    for (const { operationId } of operations) expect(html).toContain(`<details id="${operationId}">`)
    expect(html).not.toMatch(/(src|href)="(https?:)?\/\//)
    expect(contentSecurityPolicy).toMatch(/default-src 'none'.*script-src 'sha256-/)
  })

  it('documents headers once, and has no form fields for them', () => {
    for (const { name } of Object.values(document.components.parameters)) expect(html.split(`<td><code>${name}</code>`)).toHaveLength(2)
    expect(new Set([...html.matchAll(/data-in="(\w+)"/g)].map(([, place]) => place))).toEqual(new Set(['path', 'query']))
    expect(html).toMatch(/<input name="model" data-in="path" value="" +required/)
    // the page's script may compare with it
    expect(html.replace(/<script[^]*?<\/script>/g, '')).not.toContain('undefined')
  })

  it('shows its input as text, never as tags', async () => {
    const wild = await docsPage({ ...document, info: { title: '<b>&"', version: '1', description: '</script>' } })
    expect(wild.html).toContain('<title>&lt;b&gt;&amp;&quot; HTTP interface</title>')
    expect(wild.html).toContain('&lt;/script&gt;')
  })
})
