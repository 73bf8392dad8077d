import { Validator } from '@seriousme/openapi-schema-validator'
import { describe, expect, it } from 'vitest'
import { routes } from '../../serving/http/app.ts'
import { docsPage } from '../../serving/http/docs/docs-page.ts'
import { openApi } from '../../serving/http/openapi.ts'
import type { Operation } from '../../serving/http/openapi.ts'

const document = openApi(routes, '1.2.3')
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods))

function operationOf(method: string, path: string): Operation | undefined {
  return document.paths[path.replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')]?.[method.toLowerCase()]
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
      const inPath = (operation?.parameters ?? []).filter((parameter) => parameter.in === 'path')
      expect(inPath.map((parameter) => parameter.name)).toEqual(names)
    }
  })

  it('has examples that the routes take', () => {
    for (const { path, body, example } of routes) {
      if (body === undefined || example === undefined) continue
      expect(body.safeParse(example), path).toMatchObject({ success: true })
    }
  })
})

describe('the page on the interface', () => {
  const { html, contentSecurityPolicy } = docsPage(document)

  it('shows every operation, and is whole by itself', () => {
    for (const { operationId } of operations) expect(html).toContain(`<details class="operation" id="${operationId}">`)
    expect(html).not.toMatch(/(src|href)="(https?:)?\/\//)
    expect(contentSecurityPolicy).toMatch(/default-src 'none'.*script-src 'sha256-/)
  })

  it('takes what it is told as text and never as tags', () => {
    const wild = docsPage({ ...document, info: { title: '<b>&"', version: '1', description: '</script>' } })
    expect(wild.html).toContain('<title>&lt;b&gt;&amp;&quot; HTTP interface</title>')
    expect(wild.html).toContain('&lt;/script&gt;')
  })
})
