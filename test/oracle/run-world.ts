import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { CountsValue, ListValue, Value, ValueType } from '../../kernel/values/value-type.ts'
import { valueToJson } from '../../kernel/values/value-json.ts'
import type { Adapter, Row } from '../conformance/adapter.ts'
import { exact, exactText } from '../conformance/exact-json.ts'
import type { Json } from '../conformance/exact-json.ts'
import type { Near, RawRow } from '../kernel/view-oracle.ts'
import { allColumns, oracle, visibleAt } from '../kernel/view-oracle.ts'
import { definitionsText } from './definitions-text.ts'
import type { Question, Rule, World, WorldRow, WorldView } from './world.ts'

const served: Rule = { asOf: 'at', knowledge: 'bitemporal', freshness: 'served' }

/**
 * Runs a world through the public interfaces. Its definitions are applied, and its rows ingested and materialized batch
 * by batch. Then every answer over HTTP and every row of a training set is compared with the oracle, to the last bit.
 *
 * @returns the number of compared values
 */
export async function runWorld(adapter: Adapter, folder: string, id: string, world: World): Promise<number> {
  const file = (name: string): string => join(folder, `w${id}-${name}`)
  const service = `w${id}_all`
  await writeFile(file('definitions.ts'), definitionsText(id, world))
  await adapter.define([file('definitions.ts')])
  for (const [i, { rows, moment }] of world.batches.entries()) {
    await writeFile(file(`${i}.jsonl`), rows.map((row) => `${exactText(rowJson(row))}\n`).join(''))
    if (rows.length > 0) await adapter.ingest(`w${id}_rows`, file(`${i}.jsonl`))
    await adapter.materialize(
      world.views.map(({ spec }) => spec.name),
      formatTimestamp(moment),
    )
  }
  const { questions, rule } = world
  const moments = [...new Set(questions.map(({ moment }) => moment))]
  let compared = 0
  for (const moment of moments) {
    const asked = questions.filter((question) => question.moment === moment)
    const entities = asked.map(({ thing, part }) => ({ thing, part }))
    const answers = await adapter.serve(service, entities, formatTimestamp(moment))
    expect(answers).toHaveLength(asked.length)
    for (const [i, { features, statuses }] of answers.entries()) {
      const expected = expectedRow(world, asked[i] as Question, served, 'answer')
      expect({ ...asked[i], features: typed(world, features), statuses }, `an answer as of ${formatTimestamp(moment)}`).toEqual({
        ...asked[i],
        ...expected,
      })
      compared += Object.keys(expected.features).length
    }
  }
  const spine = questions.map(({ thing, part, moment }) => ({ thing, part, asked_at: formatTimestamp(moment) }))
  await writeFile(file('spine.jsonl'), spine.map((row) => `${JSON.stringify(row)}\n`).join(''))
  for (const [named, each] of new Map([served, rule].map((one) => [Object.values(one).join('-'), one]))) {
    const rows = await adapter.train({
      service,
      spine: { file: file('spine.jsonl') },
      time: 'asked_at',
      ...each,
      knownBefore: null,
      name: `w${id}-${named}`,
    })
    expect(rows).toHaveLength(questions.length)
    for (const [i, row] of rows.entries()) {
      const { features } = expectedRow(world, questions[i] as Question, each, 'training')
      const { thing, part, asked_at: _at, ...values } = row
      expect({ thing, part, values }, `a row of the training set ${named}`).toEqual({
        thing: questions[i]?.thing,
        part: questions[i]?.part,
        values: features,
      })
      compared += Object.keys(features).length
    }
  }
  return compared
}

function expectedRow(
  { views, batches }: World,
  question: Question,
  rule: Rule,
  form: 'answer' | 'training',
): { readonly features: Record<string, Json | Near>; readonly statuses: Record<string, string> } {
  const features: Record<string, Json | Near> = {}
  const statuses: Record<string, string> = {}
  const all = batches.flatMap(({ rows }) => rows)
  for (const view of views) {
    const { spec } = view
    const availability = rule.freshness === 'ideal' ? ({ kind: 'continuous' } as const) : spec.availability
    const own = all
      .filter((row) => isOf(view, row, question))
      .flatMap((row) => transformed(view, row))
      .map((row) => (rule.knowledge === 'latest' ? { ...row, knownTime: null } : row))
      .filter((row) => rule.asOf === 'at' || visibleAt(availability, row) < question.moment)
    const expected = oracle({ ...spec, availability }, own, question.moment)
    for (const [i, feature] of spec.features.entries()) {
      const name = `${spec.name}__${feature.name}`
      const value = expected.values[i] ?? null
      features[name] = isNear(value) ? value : jsonOf(feature.type, value, form)
      statuses[name] = unsayable(value, form) ? 'INVALID' : (expected.statuses[i] as string)
    }
  }
  return { features, statuses }
}

/** An answer's values by the types of their features: JSON writes a large float as it writes a whole number. */
function typed({ views }: World, features: Row): Record<string, Json> {
  const types = new Map<string, ValueType>(
    views.flatMap(({ spec }) => spec.features.map((f) => [`${spec.name}__${f.name}`, f.type] as const)),
  )
  return Object.fromEntries(Object.entries(features).map(([name, value]) => [name, asFloat(types.get(name), value)]))
}

function asFloat(type: ValueType | undefined, value: Json): Json {
  if (type?.kind === 'list' && Array.isArray(value)) return (value as readonly Json[]).map((each) => asFloat(type.of, each))
  return type?.kind === 'float64' && typeof value === 'bigint' ? Number(value) : value
}

function isOf({ keys }: WorldView, { thing, part }: WorldRow, question: Question): boolean {
  if (keys === 'none') return true
  return thing === question.thing && (keys === 'one' || part === question.part)
}

const [int, float] = ['i', 'f'].map((name) => allColumns.findIndex((column) => column.name === name)) as [number, number]

function transformed({ transform }: WorldView, row: RawRow): RawRow[] {
  if (transform === 'none') return [row]
  if (transform === 'drops negative') return typeof row.values[int] === 'number' && row.values[int] < 0 ? [] : [row]
  return [{ ...row, values: row.values.map((value, i) => (i === float && typeof value === 'number' ? -value : value)) }]
}

function isNear(value: unknown): value is Near {
  return typeof value === 'object' && value !== null && 'asymmetricMatch' in value
}

/** Answers are JSON, which has no NaN and no infinities. */
function unsayable(value: Value | Near | null, form: 'answer' | 'training'): boolean {
  if (Array.isArray(value)) return (value as ListValue).some((each) => unsayable(each, form))
  return form === 'answer' && typeof value === 'number' && !Number.isFinite(value)
}

function jsonOf(type: ValueType, value: Value | null, form: 'answer' | 'training'): Json {
  if (value === null) return null
  if (type.kind === 'list') return (value as ListValue).map((each) => jsonOf(type.of, each, form))
  if (unsayable(value, form)) return null
  if (typeof value === 'bigint') return exact(value)
  if (type.kind === 'counts') return Object.fromEntries(value as CountsValue)
  return valueToJson(type, value)
}

function rowJson(row: WorldRow): Row {
  const values = allColumns.map(({ name, type }, i): [string, Json] => [name, jsonOf(type, row.values[i] ?? null, 'training')])
  return {
    thing: row.thing,
    part: row.part,
    at: formatTimestamp(row.eventTime),
    known: row.knownTime === null ? null : formatTimestamp(row.knownTime),
    ...Object.fromEntries(values),
  }
}
