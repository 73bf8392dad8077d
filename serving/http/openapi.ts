import { z } from 'zod'
import { errorBody, feastErrorBody, oipErrorBody } from './answers.ts'
import type { ErrorShape, Route } from './route.ts'

type Json = Readonly<Record<string, unknown>>

export interface OpenApi extends Json {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string; readonly description: string } & Json
  readonly tags: readonly { readonly name: string }[]
  /** By path, then by method in small letters. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

export interface Operation extends Json {
  readonly operationId: string
  readonly summary: string
  readonly description: string
  readonly tags: readonly string[]
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Json }>> } & Json>>
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean; readonly schema: Json }[]
  readonly requestBody?: {
    readonly required: boolean
    readonly content: Readonly<Record<string, { readonly schema: Json; readonly example?: unknown }>>
  }
}

const errorNames: Readonly<Record<ErrorShape, string>> = { lockstep: 'Error', oip: 'OipError', feast: 'FeastError' }

/**
 * The OpenAPI 3.1 document of the routes, from the schemas that they validate by.
 *
 * @param version of the product
 */
export function openApi(routes: readonly Route[], version: string): OpenApi {
  const paths: Record<string, Record<string, Operation>> = {}
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, path) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Lockstep',
      version,
      description: 'A feature store with model serving bundled: features and predictions over HTTP.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map((route) => route.tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'An API key, where the server has any. Its scopes say what it may do.' },
      },
      schemas: {
        Error: schemaOf(errorBody, 'output'),
        OipError: schemaOf(oipErrorBody, 'output'),
        FeastError: schemaOf(feastErrorBody, 'output'),
      },
      responses: Object.fromEntries(
        Object.values(errorNames).map((name) => [
          name,
          {
            description: 'The request is refused, or failed; the status says whose doing it is.',
            headers: requestIdHeader,
            content: { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } },
          },
        ]),
      ),
    },
  }
}

const requestIdHeader = { 'x-request-id': { description: 'The id of the request', schema: { type: 'string' } } }

function operation(route: Route, path: string): Operation {
  const { method, summary, tag, scope, answer, errors = 'lockstep' } = route
  const parameters = [...parametersOf('path', pathParams(route)), ...parametersOf('query', route.query)]
  const told = {
    description: 'The answer.',
    headers: requestIdHeader,
    content:
      route.produces === undefined
        ? { 'application/json': { schema: answer === undefined ? {} : schemaOf(answer, 'output') } }
        : { [route.produces]: { schema: { type: 'string' } } },
  }
  const needs = scope === null ? 'It needs no key.' : `It needs a key with the scope \`${scope}\`, where the server has keys.`
  return {
    operationId: [method.toLowerCase(), ...path.split(/[^A-Za-z0-9]+/).filter(Boolean)].join('_'),
    summary,
    description: [route.description, needs].filter(Boolean).join('\n\n'),
    tags: [tag],
    ...(scope === null ? { security: [] } : { security: [{ key: [] }, {}] }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: route.bodyOptional !== true,
            content: {
              'application/json': {
                schema: schemaOf(route.body, 'input'),
                ...(route.example === undefined ? {} : { example: route.example }),
              },
            },
          },
        }),
    responses: {
      ...Object.fromEntries([route.status ?? 200].flat().map((status) => [status, told])),
      default: { $ref: `#/components/responses/${errorNames[errors]}` },
    },
  }
}

function pathParams(route: Route): z.ZodObject | undefined {
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name = '']) => name)
  return names.length === 0 ? undefined : z.object(Object.fromEntries(names.map((name) => [name, z.string()])))
}

function parametersOf(place: 'path' | 'query', schema: z.ZodObject | undefined) {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as { properties?: Record<string, Json>; required?: string[] }
  return Object.entries(properties).map(([name, of]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: of,
  }))
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}
