import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { OpenApi, Operation } from '../openapi.ts'
import { fieldRows } from './field-rows.ts'
import { escapeHtml } from './escape-html.ts'

interface DocsPage {
  readonly html: string
  /** What the page may do: run its own script and style, and ask this server. */
  readonly contentSecurityPolicy: string
}

interface Listed {
  readonly method: string
  readonly path: string
  readonly operation: Operation
}

/** The page on the HTTP interface, made from its OpenAPI document. It needs nothing from elsewhere, and can send requests. */
export function docsPage(document: OpenApi): DocsPage {
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
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} HTTP interface</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<div class="page">
<nav aria-label="Operations">
<strong>${escapeHtml(title)}</strong> <span class="dim">${escapeHtml(version)}</span>
${groups.map((group) => `<h2>${escapeHtml(group.name)}</h2>${group.of.map(link).join('')}`).join('\n')}
</nav>
<main>
<h1>${escapeHtml(title)}</h1>
<p class="dim">${escapeHtml(description)} The same for programs: <a href="/openapi.json">/openapi.json</a>, OpenAPI ${escapeHtml(document.openapi)}.</p>
<p class="key"><label>API key <input id="key" type="password" autocomplete="off" placeholder="where the server has keys"></label></p>
<h2>Headers of requests</h2>
${fieldRows({ properties: Object.fromEntries(headers) })}
${groups.map((group) => `<h2>${escapeHtml(group.name)}</h2>\n${group.of.map(section).join('\n')}`).join('\n')}
</main>
</div>
<script>${script}</script>
</body>
</html>
`
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  return {
    html,
    contentSecurityPolicy: `default-src 'none'; style-src ${hash(style)}; script-src ${hash(script)}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  }
}

function link({ method, path, operation }: Listed): string {
  return `<a href="#${escapeHtml(operation.operationId)}" title="${escapeHtml(operation.summary)}"><code>${method} ${escapeHtml(path)}</code></a>`
}

function section({ method, path, operation }: Listed): string {
  const body = operation.requestBody?.content['application/json']
  // headers are told of once, at the head of the page
  const parameters = operation.parameters.filter((parameter) => 'in' in parameter)
  const answers = Object.entries(operation.responses).flatMap(([status, { content }]) =>
    Object.entries(content ?? {}).map(([type, { schema }]) => {
      const named = type === 'application/json' ? status : `${status}, ${type}`
      return `<h3>Answer ${escapeHtml(named)}</h3>${fieldRows(schema)}`
    }),
  )
  const inputs = parameters.map(
    (parameter) =>
      `<label>${escapeHtml(parameter.name)} <input name="${escapeHtml(parameter.name)}" data-in="${parameter.in}"${parameter.example === undefined ? '' : ` value="${escapeHtml(parameter.example)}"`}${parameter.required ? ' required' : ''}></label>`,
  )
  return `<details class="operation" id="${escapeHtml(operation.operationId)}">
<summary><span class="method ${method}">${method}</span><code class="path">${escapeHtml(path)}</code><span class="what">${escapeHtml(operation.summary)}</span></summary>
<div class="inside">
${operation.description
  .split('\n\n')
  .map((text) => `<p>${escapeHtml(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>')}</p>`)
  .join('')}
${body === undefined ? '' : `<h3>Body</h3>${fieldRows(body.schema)}`}
<form data-method="${method}" data-path="${escapeHtml(path)}">
${inputs.length === 0 ? '' : `<h3>Parameters</h3>${inputs.join('')}`}
${body === undefined ? '' : `<h3>Try it</h3>${textarea(JSON.stringify(body.example ?? {}, null, 2))}`}
<p><button>Send</button></p>
<output></output>
</form>
${answers.join('\n')}
</div>
</details>`
}

/** As high as its text, within reason. */
function textarea(text: string): string {
  const rows = Math.min(Math.max(text.split('\n').length, 3), 24)
  return `<textarea aria-label="Body" spellcheck="false" rows="${rows}">${escapeHtml(text)}</textarea>`
}
