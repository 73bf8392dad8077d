import { z } from 'zod'
import { errorBody, feastErrorBody, oipErrorBody } from '../response/response-schemas.ts'
import type { Examples } from './examples.ts'
import { noExamples } from './examples.ts'
import type { HeaderName, Ref, SharedParameter } from './openapi-headers.ts'
import { answerHeaderRefs, headerRefs, inEveryAnswer, parameterRefs, sharedHeaders, sharedParameters } from './openapi-headers.ts'
import type { ErrorShape, Route } from '../route.ts'

type Json = Readonly<Record<string, unknown>>

export interface OpenApi extends Json {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string; readonly description: string } & Json
  readonly tags: readonly { readonly name: string }[]
  /** By path, then by method in small letters. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly parameters: Readonly<Record<string, SharedParameter>> } & Json
}

export interface Operation extends Json {
  readonly operationId: string
  readonly summary: string
  readonly description: string
  readonly tags: readonly string[]
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Json }>> } & Json>>
  /** The parameters of the path and the query; headers are references. */
  readonly parameters: readonly (Parameter | Ref)[]
  readonly requestBody?: {
    readonly required: boolean
    readonly content: Readonly<Record<string, { readonly schema: Json; readonly example?: unknown }>>
  }
}

interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query'
  readonly required: boolean
  readonly schema: Json
  readonly example?: string
}

const binarySchema = { schema: { type: 'string', format: 'binary' } } as const
const errorNames: Readonly<Record<ErrorShape, string>> = { lockstep: 'Error', oip: 'OipError', feast: 'FeastError' }

/**
 * The OpenAPI 3.1 document of the routes, from the schemas that they validate by.
 *
 * @param version of the product
 * @param examples in place of the routes' own; absent: a document of no registry
 */
export function openApi(routes: readonly Route[], version: string, examples: Examples = noExamples): OpenApi {
  const paths: Record<string, Record<string, Operation>> = {}
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, path, examples) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Lockstep',
      version,
      description: 'A feature store with model serving: features and predictions over HTTP.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map((route) => route.tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'An API key, if the server has keys. Its scopes define what it may do.' },
      },
      schemas: {
        Error: schemaOf(errorBody, 'output'),
        OipError: schemaOf(oipErrorBody, 'output'),
        FeastError: schemaOf(feastErrorBody, 'output'),
      },
      parameters: sharedParameters,
      headers: sharedHeaders,
      responses: Object.fromEntries(
        Object.values(errorNames).flatMap((name) => [
          [name, errorResponse(name, 'The request was refused (4xx) or failed (5xx).', inEveryAnswer)],
          [`${name}Later`, errorResponse(name, 'The server cannot answer now; retry later.', [...inEveryAnswer, 'retry-after'])],
        ]),
      ),
    },
  }
}

function errorResponse(schema: string, description: string, headers: readonly HeaderName[]): Json {
  return {
    description,
    headers: headerRefs(headers),
    content: { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` } } },
  }
}

function operation(route: Route, path: string, examples: Examples): Operation {
  const { method, summary, tag, scope, answer, errors = 'lockstep' } = route
  const named = [...parametersOf('path', pathParams(route)), ...parametersOf('query', route.query)].map((parameter) => {
    const example = parameter.required ? examples.parameter(route, parameter.name) : undefined
    return example === undefined ? parameter : { ...parameter, example }
  })
  const example = examples.body(route) ?? route.example
  const parameters = [...named, ...parameterRefs(route)]
  const binary = route.takesBinary === true ? { 'application/octet-stream': binarySchema } : {}
  const error = { $ref: `#/components/responses/${errorNames[errors]}` }
  const later = { $ref: `${error.$ref}Later` }
  const response = {
    description: 'The answer.',
    headers: answerHeaderRefs(route),
  }
  const withBody = {
    ...response,
    content:
      route.produces === undefined
        ? {
            'application/json': { schema: answer === undefined ? {} : schemaOf(answer, 'output') },
            ...binary,
            ...(route.alsoProduces === undefined ? {} : { [route.alsoProduces]: binarySchema }),
          }
        : { [route.produces]: { schema: { type: 'string' } } },
  }
  const needs = scope === null ? 'Needs no key.' : `Needs a key with the scope \`${scope}\`, if the server has keys.`
  return {
    operationId: [method.toLowerCase(), ...path.split(/[^A-Za-z0-9]+/).filter(Boolean)].join('_'),
    summary,
    description: [route.description, needs].filter(Boolean).join('\n\n'),
    tags: [tag],
    ...(scope === null ? { security: [] } : { security: [{ key: [] }, {}] }),
    parameters,
    ...(route.isStreamed === true
      ? {
          requestBody: {
            required: false,
            content: { 'application/offset+octet-stream': { schema: { type: 'string', format: 'binary' } } },
          },
        }
      : {}),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: route.bodyOptional !== true,
            content: {
              'application/json': {
                schema: schemaOf(route.body, 'input'),
                ...(example === undefined ? {} : { example }),
              },
              ...binary,
            },
          },
        }),
    responses: {
      ...(scope === null ? {} : { 429: later, 503: later, 504: error }),
      ...Object.fromEntries([route.status ?? 200].flat().map((status) => [status, status === 204 ? response : withBody])),
      default: error,
    },
  }
}

function pathParams(route: Route): z.ZodObject | undefined {
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name = '']) => name)
  return names.length === 0 ? undefined : z.object(Object.fromEntries(names.map((name) => [name, z.string().min(1)])))
}

function parametersOf(place: Parameter['in'], schema: z.ZodObject | undefined): Parameter[] {
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
