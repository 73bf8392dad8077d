import type { Scalar } from '../../kernel/values/value-type.ts'
import type { Definition } from '../../registry/definition.ts'
import { carriersOf } from './carriers.ts'
import type { Holder } from './erasing.ts'

/** The pipelines that read one of these sources. */
export function pipelinesOf(sources: readonly string[], definitions: readonly Definition[]): string[] {
  return definitions.flatMap((each) => (each.kind === 'pipeline' && sources.includes(each.spec.source) ? [each.name] : []))
}

/** Answers in the ledgers of pipelines that read sources of the entity, if their text contains all parts of the key. */
export const pipelineAnswers: Holder = async ({ entity, values, definitions, db }) => {
  const sources = carriersOf(entity, definitions).map(({ source }) => source)
  const pipelines = pipelinesOf(sources, definitions)
  if (pipelines.length === 0) return []
  let query = db.kysely.deleteFrom('lockstep.pipeline_answers').where('pipeline', 'in', pipelines)
  for (const [i, value] of values.entries()) {
    // a time has several forms
    if (entity.key[i]?.type.kind === 'timestamp') continue
    const word = typeof value === 'string' ? JSON.stringify(value) : (value as Scalar).toString()
    query = query.where(({ fn, val }) => fn<number>('strpos', ['answer', val(word)]), '>', 0)
  }
  const { numDeletedRows } = await query.executeTakeFirstOrThrow()
  if (numDeletedRows === 0n) return []
  const note = 'answers of pipelines that may contain the key'
  return [{ what: 'removed', kind: 'rows', where: 'lockstep.pipeline_answers', count: Number(numDeletedRows), note }]
}
