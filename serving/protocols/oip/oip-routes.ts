import { z } from 'zod'
import { LockstepError } from '../../../kernel/errors.ts'
import { checkModelReady, isReady, modelMetadata, repositoryIndex, serverMetadata } from './describe.ts'
import { inferAnswerSchema, inferSchema, readInferBody, writeInferBody } from './infer-body.ts'
import { infer } from './infer.ts'
import { rowCount } from './infer-request.ts'
import { checkType } from '../http/request/body.ts'
import type { PredictContext } from '../../predict/predict.ts'
import { callerOf } from '../http/predict/caller.ts'
import type { ServingContext } from '../../context.ts'
import type { Call, RouteAnswer } from '../http/call.ts'
import { jsonWithoutId } from '../http/call.ts'
import { traced } from '../../../runtime/tracing/span.ts'
import { takeRows } from '../../traffic/authorize.ts'
import { joined, readChunks } from '../http/request/read-bytes.ts'
import { checkedRoute } from '../http/checked-route.ts'
import type { Route } from '../http/route.ts'

/** The header that says how many bytes of a body are JSON, where tensors follow in binary. */
const lengthHeader = 'inference-header-content-length'

const base = { tag: 'Open Inference Protocol', errors: 'oip' } as const

const indexSchema = z.object({ ready: z.boolean().optional().describe('true: only versions that can be run') })

/** The Open Inference Protocol over REST, with its binary tensors. */
export const oipRoutes: readonly Route[] = [
  {
    ...base,
    method: 'GET',
    path: '/v2/health/live',
    scope: null,
    summary: 'Whether the server answers',
    handle: () => jsonWithoutId({ live: true }),
  },
  {
    ...base,
    method: 'GET',
    path: '/v2/health/ready',
    scope: null,
    status: [200, 503],
    summary: 'Whether the server and all models can answer',
    handle(_, deps) {
      const ready = isReady(deps)
      return jsonWithoutId({ live: true, ready }, ready ? 200 : 503)
    },
  },
  {
    ...base,
    method: 'GET',
    path: '/v2',
    alsoPath: '/v2/',
    scope: null,
    summary: 'The server and its extensions of the protocol',
    handle: () => jsonWithoutId(serverMetadata),
  },
  checkedRoute({
    ...base,
    method: 'POST',
    path: '/v2/repository/index',
    scope: 'read',
    summary: 'Every version of every model, and whether it can be run',
    body: indexSchema,
    bodyOptional: true,
    handle: (_, deps, { body }) => jsonWithoutId(repositoryIndex(deps, body.ready === true)),
  }),
  // a version is its number, or an alias
  ...['/v2/models/:model', '/v2/models/:model/versions/:version'].flatMap((path): Route[] => [
    {
      ...base,
      method: 'GET',
      path,
      scope: 'read',
      summary: 'The inputs and outputs of a model',
      async handle(call, deps) {
        const { model, version } = namedIn(call)
        return jsonWithoutId(await modelMetadata(deps, model, version))
      },
    },
    {
      ...base,
      method: 'GET',
      path: `${path}/ready`,
      scope: 'read',
      summary: 'Whether a model can be run',
      async handle(call, deps) {
        const { model, version } = namedIn(call)
        await checkModelReady(deps, model, version)
        return jsonWithoutId({ name: model, ready: true })
      },
    },
    {
      ...base,
      method: 'POST',
      path: `${path}/infer`,
      scope: 'predict',
      isHot: true,
      takesBinary: true,
      summary: 'Run a model on tensors, or on the features of the entities that the inputs name',
      body: inferSchema,
      answer: inferAnswerSchema,
      handle: answerInfer,
    },
  ]),
]

/** `POST /v2/models/{model}[/versions/{version}]/infer` */
async function answerInfer(call: Call, context: PredictContext & Pick<ServingContext, 'bodyLimitBytes'>): Promise<RouteAnswer> {
  const { [lengthHeader]: said, 'content-type': type } = call.incoming.headers
  const headerLength = lengthOf(said)
  // other clients of the protocol say nothing, or that all of it is bytes
  if (type === undefined || !/^\s*application\/octet-stream\s*(;|$)/i.test(type)) checkType(call.incoming.headers)
  const body = joined(await traced(call.span, 'read body', () => readChunks(call, context.bodyLimitBytes)), headerLength ?? 0)
  const { isBinary, ...asked } = readInferBody(body, headerLength)
  await takeRows(call, rowCount(asked))
  const answer = writeInferBody(await infer(context, { ...namedIn(call), ...asked }, callerOf(call), call), isBinary)
  return {
    status: 200,
    body: answer.body,
    ...(answer.headerLength === null
      ? {}
      : { contentType: 'application/octet-stream', headers: { [lengthHeader]: String(answer.headerLength) } }),
  }
}

function namedIn(call: Call): { readonly model: string; readonly version?: string } {
  const version = call.params['version']
  return { model: call.params['model'] ?? '', ...(version === undefined ? {} : { version }) }
}

function lengthOf(header: string | string[] | undefined): number | null {
  if (header === undefined) return null
  if (typeof header === 'string' && /^\d{1,15}$/.test(header)) return Number(header)
  throw new LockstepError(
    'INVALID_REQUEST',
    `The header "Inference-Header-Content-Length" is "${String(header)}"; it must be the number of bytes of the JSON.`,
  )
}
