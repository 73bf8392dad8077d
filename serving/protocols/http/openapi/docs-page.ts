import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { html, raw } from 'hono/html'
import type { OpenApi, Operation } from './openapi.ts'
import { codeText, fieldRows } from './field-rows.ts'

interface DocsPage {
  readonly html: string
  /** Allows the page its own script and style, and requests to this server. */
  readonly contentSecurityPolicy: string
}

interface Listed {
  readonly method: string
  readonly path: string
  readonly operation: Operation
}

/**
 * The page about the HTTP interface, made from its OpenAPI document. It loads nothing, and can send requests. The pages
 * of RapiDoc, Scalar and Swagger UI would do, but their packages take 3.7, 7.3 and 12 MB, and the first two need a
 * Content-Security-Policy with `unsafe-inline` for their styles.
 */
export async function docsPage(document: OpenApi): Promise<DocsPage> {
  const style = readFileSync(join(import.meta.dirname, 'page.css'), 'utf8')
  const script = readFileSync(join(import.meta.dirname, 'try.js'), 'utf8')
  const listed = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Listed => ({ method: method.toUpperCase(), path, operation })),
  )
  const groups = document.tags.map(({ name }) => ({ name, of: listed.filter(({ operation }) => operation.tags[0] === name) }))
  const { title, version, description } = document.info
  const headers = Object.values(document.components.parameters).map((header): [string, object] => [
    header.name,
    { ...header.schema, description: header.description },
  ])
  const page = await html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} HTTP interface</title>
        <link rel="icon" href="data:," />
        ${raw(`<style>${style}</style>`)}
      </head>
      <body>
        <nav aria-label="Operations">
          <strong>${title}</strong> <span class="dim">${version}</span>
          ${groups.map(
            ({ name, of }) =>
              html`<h2>${name}</h2>
                ${of.map(link)}`,
          )}
        </nav>
        <main>
          <h1>${title}</h1>
          <p class="dim">${description} For programs: <a href="/openapi.json">/openapi.json</a>, OpenAPI ${document.openapi}.</p>
          <p>
            <label>API key <input id="key" type="password" autocomplete="off" placeholder="if the server has keys" /></label>
          </p>
          <h2>Headers of requests</h2>
          ${fieldRows({ properties: Object.fromEntries(headers) })}
          ${groups.map(
            ({ name, of }) =>
              html`<h2>${name}</h2>
                ${of.map(section)}`,
          )}
        </main>
        ${raw(`<script>${script}</script>`)}
      </body>
    </html> `
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  return {
    html: page.toString(),
    contentSecurityPolicy: `default-src 'none'; style-src ${hash(style)}; script-src ${hash(script)}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  }
}

function link({ method, path, operation }: Listed) {
  return html`<a href="#${operation.operationId}" title="${operation.summary}"><code>${method} ${path}</code></a>`
}

function section({ method, path, operation }: Listed) {
  const body = operation.requestBody?.content['application/json']
  // the headers are described once, at the top of the page
  const parameters = operation.parameters.filter((parameter) => 'in' in parameter)
  const answers = Object.entries(operation.responses).flatMap(([status, { content }]) =>
    Object.entries(content ?? {}).map(([type, { schema }]) => {
      const named = type === 'application/json' ? status : `${status}, ${type}`
      return html`<h3>Answer ${named}</h3>
        ${fieldRows(schema)}`
    }),
  )
  const inputs = parameters.map(
    ({ name, in: place, example = '', required }) =>
      html`<label>${name} <input name="${name}" data-in="${place}" value="${example}" ${required ? raw(' required') : ''} /></label>`,
  )
  return html`<details id="${operation.operationId}">
    <summary><code class="${method}">${method} ${path}</code><span class="dim">${operation.summary}</span></summary>
    ${operation.description.split('\n\n').map((text) => html`<p>${codeText(text)}</p>`)}
    ${
      body !== undefined &&
      html`<h3>Body</h3>
        ${fieldRows(body.schema)}`
    }
    <form data-method="${method}" data-path="${path}">
      ${
        inputs.length > 0 &&
        html`<h3>Parameters</h3>
          ${inputs}`
      }
      ${
        body !== undefined &&
        html`<h3>Try it</h3>
          ${textarea(JSON.stringify(body.example ?? {}, null, 2))}`
      }
      <p><button>Send</button></p>
      <output></output>
    </form>
    ${answers}
  </details>`
}

/** As high as its text, between 3 and 24 lines. */
function textarea(text: string) {
  const rows = Math.min(Math.max(text.split('\n').length, 3), 24)
  return html`<textarea aria-label="Body" spellcheck="false" rows="${rows}">${text}</textarea>`
}
