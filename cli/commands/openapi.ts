import { readVersion } from '../../runtime/version.ts'
import { routes } from '../../serving/protocols/http/routes.ts'
import { openApi } from '../../serving/protocols/http/openapi/openapi.ts'
import type { Command } from '../command.ts'

export const openapiCommand: Command = {
  name: 'openapi',
  summary: 'Print the OpenAPI 3.1 document of the HTTP interface',
  description: ['A server has the same document at GET /openapi.json, and as a page at GET /docs.'],
  example: 'lockstep openapi > openapi.json',
  async run() {
    const document = openApi(routes, readVersion())
    return { json: document, text: JSON.stringify(document, null, 2) }
  },
}
