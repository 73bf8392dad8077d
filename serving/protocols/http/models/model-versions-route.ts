import { randomUUID } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { defined } from '../../../../kernel/defined.ts'
import { LockstepError } from '../../../../kernel/errors.ts'
import { catalogRevision } from '../../../../registry/revision.ts'
import { deleteModelVersion } from '../../../../registry/models/delete-model-version.ts'
import { readModelPieces } from '../../../../registry/models/model-versions.ts'
import { pickVersion, versionReference } from '../../../../registry/models/pick-version.ts'
import { pushVersion } from '../../../models/push-version.ts'
import { cancelOnDisconnect } from '../request/client-connection.ts'
import { actorOf, jsonAnswer, nameInPath } from '../call.ts'
import { dryRunQuery, reasonSchema } from '../request/change-schemas.ts'
import { fileAnswer } from '../response/file-answer.ts'
import { asRefusal } from '../response/refusal.ts'
import { deletedVersionAnswer, pushAnswer } from './model-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

/** The size of one value in PostgreSQL. */
const maxModelBytes = 1_000_000_000

const facts = z.record(z.string(), z.unknown()).optional()
const pushBody = z.strictObject({
  upload: z.string().describe('The id of the upload of the ONNX file'),
  metrics: z.record(z.string(), z.number()).optional().describe('Evaluation results by name'),
  params: facts.describe('Training parameters by name'),
  metadata: facts.describe('Anything to store with the version'),
  dataset: z.string().min(1).optional().describe('The training set that it was trained on: its id, or the first characters'),
  datasetMismatch: z.boolean().optional().describe('Allows a version that was trained on other features than it is served with'),
  untried: z.boolean().optional().describe('Allows a version whose trial run on made-up rows does not end'),
  gitCommit: z.string().max(200).optional().describe('The commit of the training code'),
  alias: z.string().optional().describe('Points this alias to the version. champion: serves it'),
  reason: reasonSchema,
})

/** The routes that store versions of models, send their files, and delete them. */
export const modelVersionRoutes: readonly Route[] = [
  checkedRoute({
    method: 'POST',
    path: '/v1/models/:name/versions',
    scope: 'admin',
    summary: 'Store an uploaded ONNX file as the next version of a model',
    tag: 'Models',
    body: pushBody,
    example: { upload: '6f1c…', metrics: { auc: 0.71 }, alias: 'champion' },
    status: [200, 201],
    answer: pushAnswer,
    async handle(call, deps, { body }) {
      const { upload: id, datasetMismatch = false, untried = false, reason, ...rest } = body
      const model = nameInPath(call)
      const db = deps.upkeep.database()
      const pushed = await deps.uploads.use(id, async ({ path, name, length }) => {
        if (length > maxModelBytes) throw tooBig(name, length)
        const bytes = await readFile(path)
        const push = { ...defined(rest), model, bytes, file: name, datasetMismatch, untried, ...actorOf(call, reason) }
        return await asRefusal(() => pushVersion(db, push))
      })
      const inForce = await deps.reachRevision(await catalogRevision(db))
      const notes = inForce
        ? pushed.notes
        : [...pushed.notes, 'This server still loads the version, and answers with the one before until it has.']
      return jsonAnswer(call, { ...pushed, notes }, pushed.created ? 201 : 200)
    },
  }),
  {
    method: 'GET',
    path: '/v1/models/:name/versions/:version/file',
    scope: 'admin',
    summary: 'Download the ONNX file of a version, by number or alias',
    description: 'Takes `Range` and `If-Range`, so that a broken download goes on where it stopped. The `etag` is the SHA-256 of the file.',
    tag: 'Models',
    produces: 'application/octet-stream',
    status: [200, 206],
    async handle(call, deps) {
      const { version: wanted = '' } = call.params
      const { model, version, sizeBytes, sha256 } = pickVersion(deps.catalog().model(nameInPath(call)), versionReference(wanted))
      const { signal } = cancelOnDisconnect(call, deps.upkeep.database())
      const { pieces } = await readModelPieces(deps.upkeep.database(), model, version)
      // from a file it is sent as fast as its client reads it, past the deadline of the request
      const path = join(tmpdir(), `lockstep-model-${randomUUID()}.onnx`)
      try {
        await writeFile(path, pieces, { signal, flag: 'wx', mode: 0o600 })
        call.outgoing.once('close', () => void rm(path, { force: true }))
        signal.throwIfAborted()
        const file = { path, name: `${model}-${version}.onnx`, bytes: sizeBytes, sha256 }
        const answer = await fileAnswer(file, call.incoming.headers)
        if (answer !== null) return answer
        throw new LockstepError(
          'INTERNAL',
          `The file of the model "${model}" version ${version} was removed before it was sent. Try again.`,
        )
      } catch (error) {
        await rm(path, { force: true })
        throw error
      }
    },
  },
  checkedRoute({
    method: 'DELETE',
    path: '/v1/models/:name/versions/:version',
    scope: 'admin',
    summary: 'Delete a version of a model that nothing serves',
    tag: 'Models',
    query: dryRunQuery,
    answer: deletedVersionAnswer,
    async handle(call, deps, { query: { dryRun = false, reason } }) {
      const { name = '', version = '' } = call.params
      const by = actorOf(call, reason)
      const { deleted, freed, revision } = await deleteModelVersion(deps.upkeep.database(), name, versionReference(version), by, { dryRun })
      if (!dryRun) await deps.reachRevision(revision)
      return jsonAnswer(call, {
        model: name,
        version: deleted.version,
        sizeBytes: deleted.sizeBytes,
        freed: freed.map(({ kind, name: of, version: at }) => ({ kind, name: of, version: at })),
        revision,
        dryRun,
      })
    },
  }),
]

function tooBig(name: string, length: number): LockstepError {
  return new LockstepError(
    'BODY_TOO_LARGE',
    `The model file "${name}" has ${length} bytes, and a model may have at most ${maxModelBytes}; export a smaller one.`,
    { details: { limitBytes: maxModelBytes } },
  )
}
