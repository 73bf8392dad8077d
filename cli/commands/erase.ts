import { LockstepError } from '../../kernel/errors.ts'
import type { Column, KeyType, Value } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import { valueFromJson } from '../../kernel/values/value-json.ts'
import type { EntitySpec } from '../../kernel/specs/view-spec.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { eraseEntity } from '../../materializer/erase/erase-entity.ts'
import type { Receipt, ReceiptPart } from '../../materializer/erase/erasing.ts'
import { forgetErased } from '../../materializer/erase/forget-erased.ts'
import { finishErasures, pendingErasures } from '../../materializer/erase/finish-erasures.ts'
import { forgetEntity } from '../../monitoring/rollups/forget-entity.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { counted } from '../text/human.ts'

/** How long to wait for open transactions, milliseconds. */
const waitMs = 5_000

export const eraseCommand: Command = {
  name: 'erase',
  summary: 'Delete all data of one entity, and keep a receipt',
  description: [
    "Deletes the entity's rows from the tables that Lockstep created, and its states from the online store. Rebuilds the states of other entities that contained these rows. For views over your own tables, deletes the states whose keys contain the key. Lists rows in your own tables and existing training sets, and does not delete them.",
    'The receipt does not contain the key. If an open transaction delays the erasure, a worker finishes it, or this command when you run it again.',
  ],
  arguments: [
    { name: 'ENTITY', help: 'The entity, by its name in the registry.' },
    { name: 'KEY', help: 'Its key. For a composite key, all parts in order.', takes: 'many' },
  ],
  options: { yes: { help: 'Do not ask for confirmation.' }, reason: reasonOption },
  example: 'lockstep erase airport ATL',
  async run(context, input) {
    const catalog = await context.catalog()
    const entity = entityOf(catalog.entities, input.argument('ENTITY'))
    const values = keyOf(entity, input.arguments('KEY'))
    const [db, store] = [await context.database(), await context.store()]
    if (!input.flag('yes')) {
      const sure = await context.terminal.confirm(`Erase ${entity.name} ${input.arguments('KEY').join(' ')} permanently?`)
      if (!sure) throw new LockstepError('STOPPED', 'Nothing was erased.')
    }
    const receipt = await eraseEntity(db, catalog, entity, values, new Date(), actorOf(input))
    const replayMs = context.config.replaySeconds * 1000
    try {
      const left = await finishErasures(db, store, catalog, { waitMs, moment: Date.now() * 1000, replayMs, signal: context.signal })
      await forgetErased(db, store, { replayMs, nowMs: Date.now() })
      // servers answered from the old states until now
      const rollups = await forgetEntity(db, entity, values, context.signal)
      return { json: { receipt, unfinished: left, rollups, problem: null }, text: `${receiptText(receipt, left)}\n${rollupsText(rollups)}` }
    } catch (error) {
      // the rows are deleted and the rest is recorded: the receipt must not be lost because the store fails
      if (!(error instanceof LockstepError) || error.code === 'STOPPED' || context.signal.aborted) throw error
      const { code, message } = error
      const problem = `not finished: ${code}: ${message} The rows are deleted. Run this command again: it deletes the states, which a worker does too, and removes the entity from the statistics of models.`
      const unfinished = await pendingErasures(db)
      return {
        json: { receipt, unfinished, rollups: null, problem: { code, message } },
        text: `${receiptText(receipt, 0)}\n${problem}`,
        exitCode: 1,
      }
    }
  },
}

function entityOf(entities: ReadonlyMap<string, EntitySpec>, name: string): EntitySpec {
  const entity = entities.get(name)
  if (entity !== undefined) return entity
  const message =
    entities.size === 0
      ? 'The registry has no entity yet; apply a definitions file.'
      : `There is no entity "${name}" in the registry. It has ${quotedNames(entities.keys())}.`
  throw new LockstepError('UNKNOWN_DEFINITION', message, { details: { kind: 'entity', name } })
}

function keyOf({ name, key }: EntitySpec, words: readonly string[]): Value[] {
  if (words.length !== key.length) {
    const parts = key.map((part) => `"${part.name}" (${typeName(part.type)})`).join(', ')
    throw new LockstepError(
      'USAGE',
      `The key of the entity "${name}" is ${parts || 'empty'}, but ${words.length} were given. See "lockstep erase --help".`,
    )
  }
  return key.map((part, i) => keyValue(part, words[i] ?? ''))
}

function keyValue({ name, type }: Column<KeyType>, word: string): Value {
  const json =
    type.kind === 'bool' && /^(true|false)$/.test(word)
      ? word === 'true'
      : type.kind === 'int32' && /^-?\d{1,10}$/.test(word)
        ? Number(word)
        : word
  const value = valueFromJson(type, json, `The key "${name}"`)
  if (value === null) throw new LockstepError('INVALID_ENTITY', `The key "${name}" is missing.`)
  return value
}

function rollupsText(rollups: number): string {
  return `removed: from the samples of ${counted(rollups, 'rollup')} of model statistics`
}

function receiptText({ id, entity, keyHash, parts }: Receipt, left: number): string {
  return [
    `Erased one ${entity} (receipt ${id}, key hash ${keyHash}).`,
    ...parts.map(partText),
    ...(parts.some(({ kind, where, count }) => kind === 'rows' && where !== 'lockstep.prediction_log' && count !== null && count > 0)
      ? []
      : ['note: no source has a row with this key. Check that it is the right one.']),
    ...(left === 0
      ? []
      : [
          'note: an open transaction may have read its rows. Until that transaction ends, states with the key remain. A worker deletes them afterwards.',
        ]),
  ].join('\n')
}

function partText({ what, kind, where, id, count, note }: ReceiptPart): string {
  const suffix = note === undefined ? '' : ` (${note})`
  // not all of its rows are of the entity, and perhaps none is
  if (kind === 'dataset')
    return `KEPT: the training set ${id === undefined ? '' : `${id} `}in ${where}, of ${counted(count ?? 0, 'row')} in all${suffix}`
  const things = count === null ? 'states' : counted(count, kind === 'rows' ? 'row' : 'state')
  return `${what === 'kept' ? 'KEPT' : what}: ${things} in ${where}${suffix}`
}
