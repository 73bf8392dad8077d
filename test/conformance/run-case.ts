import { extname, join } from 'node:path'
import { expect } from 'vitest'
import type { Adapter, Row, Served } from './adapter.ts'
import { Refused } from './adapter.ts'
import type { ConformanceCase, ServeStep, Step, TrainStep } from './conformance-case.ts'
import type { Json } from './exact-json.ts'
import { exactText, readJsonLines } from './exact-json.ts'

/** A line of a file of answers. */
interface ExpectedAnswer {
  readonly [member: string]: Json
  readonly entity: Row
  readonly features: Row
  readonly statuses: Row
}

/** Runs the steps of a case, one after the other. */
export async function runCase(adapter: Adapter, { id, folder, steps }: ConformanceCase): Promise<void> {
  for (const [index, step] of steps.entries()) {
    const { refused } = step
    const taken = takeStep(adapter, step, { id: `${id}-${index}`, inFolder: (name) => join(folder, name) })
    if (refused === undefined) {
      await taken
      continue
    }
    const said = await taken.then(
      () => new Error(`Step ${index} of "${id}" was to be refused, and was not.`),
      (error: unknown) => error,
    )
    if (!(said instanceof Refused)) throw said
    for (const word of refused) expect(said.message, `what step ${index} of "${id}" says`).toContain(word)
  }
}

interface Place {
  /** Of the step: a name for what it keeps. */
  readonly id: string
  readonly inFolder: (name: string) => string
}

async function takeStep(adapter: Adapter, step: Step, place: Place): Promise<void> {
  if ('define' in step) return await adapter.define([place.inFolder(`${step.define}${extname(adapter.definitions)}`)])
  if ('retire' in step) return await adapter.retire(place.inFolder(`${step.retire}${extname(adapter.definitions)}`))
  if ('ingest' in step) return await adapter.ingest(step.ingest, place.inFolder(step.rows))
  if ('push' in step) return await adapter.push(step.push, await readJsonLines<Row>(place.inFolder(step.rows)), step.id ?? null)
  if ('materialize' in step) return await adapter.materialize(step.materialize, step.at)
  if ('read' in step) return sameRows(await adapter.read(step.read), await readJsonLines<Row>(place.inFolder(step.expect)))
  if ('train' in step) return await train(adapter, step, place)
  return await serve(adapter, step, place)
}

async function train(adapter: Adapter, step: TrainStep, { id, inFolder }: Place): Promise<void> {
  const rows = await adapter.train({
    service: step.train,
    spine: step.rows ?? (step.query === undefined ? { file: inFolder(step.spine ?? 'spine.jsonl') } : { query: step.query }),
    time: step.time,
    asOf: step.asOf ?? 'at',
    knowledge: step.knowledge ?? 'bitemporal',
    freshness: step.freshness ?? 'served',
    knownBefore: step.knownBefore ?? null,
    name: step.save ?? id,
  })
  if (step.expect !== undefined) sameRows(rows, await readJsonLines<Row>(inFolder(step.expect)))
  if (step.replay !== undefined) await replay(adapter, step, step.replay, rows)
}

async function serve(adapter: Adapter, step: ServeStep, { inFolder }: Place): Promise<void> {
  if (step.expect === undefined) return void (await adapter.serve(step.serve, step.entities ?? [], step.at))
  const expected = await readJsonLines<ExpectedAnswer>(inFolder(step.expect))
  const entities = expected.map(({ entity }) => entity)
  const answers = await adapter.serve(step.serve, entities, step.at)
  const seen = answers.map((answer, i): Row => {
    const { features, statuses, eventTimes } = answer
    const timed = Object.hasOwn(expected[i] ?? {}, 'eventTimes')
    return { entity: entities[i] ?? null, features, statuses, ...(timed ? { eventTimes } : {}) }
  })
  sameRows(seen, expected)
}

/**
 * Reads the values of a training set online, as of each row's own moment. A row with an incomplete key names no entity,
 * so it is skipped.
 */
async function replay(adapter: Adapter, step: TrainStep, columns: readonly string[], rows: readonly Row[]): Promise<void> {
  const byMoment = new Map<string, Row[]>()
  for (const row of rows) {
    if (columns.some((column) => row[column] === null)) continue
    const moment = row[step.time]
    if (typeof moment !== 'string') throw new Error(`The column "${step.time}" of a training set holds no time.`)
    byMoment.set(moment, [...(byMoment.get(moment) ?? []), row])
  }
  for (const [moment, asked] of byMoment) {
    const entities = asked.map((row) => Object.fromEntries(columns.map((column) => [column, row[column] as Json])))
    const answers = await adapter.serve(step.train, entities, moment)
    sameRows(
      answers.map(({ features }: Served, i): Row => ({ moment, ...entities[i], ...features })),
      asked.map((row, i) => {
        const features = Object.keys(answers[i]?.features ?? {}).map((name) => [name, sayable(row[name] as Json)])
        return { moment, ...entities[i], ...Object.fromEntries(features) }
      }),
    )
  }
}

/** NaN and the infinities are texts in a training set, and null in an answer. */
function sayable(value: Json): Json {
  return value === 'NaN' || value === 'Infinity' || value === '-Infinity' ? null : value
}

/** The same rows, equally often, in the same order, with the same columns in the same order. */
function sameRows(seen: readonly Row[], expected: readonly Row[]): void {
  expect(seen.map(exactText)).toEqual(expected.map(exactText))
}
