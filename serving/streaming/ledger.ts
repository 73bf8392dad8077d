import type { Database } from '../../runtime/postgres/database.ts'

/** How long answers are kept. */
const keptDays = 30

/** The answers of a pipeline with a ledger, by the positions of the messages. */
export interface Ledger {
  /** The answers that are kept to some messages. */
  find(ids: readonly string[]): Promise<Map<string, string>>
  /** Keeps answers. @returns those that count: where another process was first, its own */
  keep(answers: ReadonlyMap<string, string>): Promise<Map<string, string>>
  /** Forgets what is old. */
  dropOld(): Promise<void>
}

export function createLedger(db: Pick<Database, 'kysely'>, pipeline: string, generation: number): Ledger {
  async function find(ids: readonly string[]): Promise<Map<string, string>> {
    if (ids.length === 0) return new Map()
    const rows = await db.kysely
      .selectFrom('lockstep.pipeline_answers')
      .select(['id', 'answer'])
      .where('pipeline', '=', pipeline)
      .where('generation', '=', generation)
      .where('id', 'in', [...ids])
      .execute()
    return new Map(rows.map(({ id, answer }) => [id, answer]))
  }

  return {
    find,
    async keep(answers) {
      if (answers.size === 0) return new Map()
      const rows = await db.kysely
        .insertInto('lockstep.pipeline_answers')
        .values([...answers].map(([id, answer]) => ({ pipeline, generation, id, answer })))
        .onConflict((conflict) => conflict.doNothing())
        .returning('id')
        .execute()
      const own = new Set(rows.map(({ id }) => id))
      const others = await find([...answers.keys()].filter((id) => !own.has(id)))
      return new Map([...answers, ...others])
    },
    async dropOld() {
      const before = new Date(Date.now() - keptDays * 86_400_000)
      await db.kysely.deleteFrom('lockstep.pipeline_answers').where('pipeline', '=', pipeline).where('at', '<', before).execute()
    },
  }
}
