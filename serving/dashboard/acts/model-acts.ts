import { z } from 'zod'
import { championAlias } from '../../../registry/models/model-aliases.ts'
import { versionSchema } from '../../protocols/http/models/model-version-schema.ts'
import { commitWhileConnected } from '../../protocols/http/request/client-connection.ts'
import { modelRevision } from '../models/model-revision.ts'
import type { Act, Acting } from './act.ts'
import { act, reasonBody } from './act.ts'

const versionBody = reasonBody.extend({ version: versionSchema })

const ofModel = {
  scope: 'ui:operate',
  revision: ({ db, params }: Acting<unknown>) => modelRevision(db, params['name'] ?? ''),
} as const

const name = ({ params }: Acting<unknown>): string => params['name'] ?? ''

export const modelActs: readonly Act[] = [
  act({
    ...ofModel,
    path: '/models/:name/promote',
    body: versionBody,
    run: (on) => on.deps.modelChanges.promote(name(on), on.body.version, championAlias, on.by, commitWhileConnected(on.call)),
  }),
  act({
    ...ofModel,
    path: '/models/:name/rollback',
    // the version that the page named: it is of the server's definitions, which may be older than the revision
    body: reasonBody.extend({ to: z.int().positive() }),
    run: (on) => on.deps.modelChanges.rollBack(name(on), championAlias, on.by, { ...commitWhileConnected(on.call), to: on.body.to }),
  }),
  act({
    ...ofModel,
    path: '/models/:name/pin',
    body: versionBody,
    run: (on) => on.deps.modelChanges.pin(name(on), on.body.version, on.by, commitWhileConnected(on.call)),
  }),
  act({
    ...ofModel,
    path: '/models/:name/unpin',
    body: reasonBody.extend({ version: z.unknown().optional() }),
    run: (on) => on.deps.modelChanges.unpin(name(on), on.by, commitWhileConnected(on.call)),
  }),
  ...(['pause', 'resume', 'promote', 'abort'] as const).map((what) =>
    act({
      ...ofModel,
      path: `/rollouts/:name/${what}`,
      body: reasonBody,
      run: (on) => on.deps.modelChanges.rollouts[what](name(on), on.by, commitWhileConnected(on.call)),
    }),
  ),
]
