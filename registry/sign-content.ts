import type { Kysely } from 'kysely'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Actor } from '../runtime/audit.ts'
import { recordAudit } from '../runtime/audit.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { Signing } from '../runtime/signing.ts'
import type { Definition } from './definition.ts'
import { displayName, storedDefinitions } from './definition.ts'
import type { ModelVersion } from './models/model-versions.ts'
import { readModelBytes, readModelVersions } from './models/model-versions.ts'
import { bumpRevision, lockRegistry } from './revision.ts'
import { definitionFacts, modelFacts, modelName, signDefinition, signModel } from './signatures.ts'
import { storedCode, verifiedCode } from './verified-code.ts'

export interface Signable {
  /** Its name for users. */
  readonly what: string
  readonly definition?: Definition
  readonly model?: ModelVersion
  /** Whether it has a signature by one of the older keys. */
  readonly wasSigned: boolean
}

/** All stored content that the newest key has not signed: definitions, including retired ones, and model versions. */
export async function unsignedContent(handle: Kysely<LockstepTables>, signing: Signing): Promise<Signable[]> {
  const definitions = await storedDefinitions(handle)
  const models = await readModelVersions(handle)
  return [
    ...definitions
      .filter((each) => !signing.isNewest(definitionFacts(each), each.signature))
      .map((definition) => ({
        what: displayName(definition),
        definition,
        wasSigned: signing.verify(definitionFacts(definition), definition.signature),
      })),
    ...models
      .filter((each) => !signing.isNewest(modelFacts(each), each.signature))
      .map((model) => ({ what: modelName(model), model, wasSigned: signing.verify(modelFacts(model), model.signature) })),
  ]
}

/**
 * Signs exactly the content that was shown to the signer, and nothing that changed since.
 *
 * @throws LockstepError `CODE_HASH_MISMATCH` if code or model bytes differ from what was stored
 */
export async function signContent(db: Database, signing: Signing, shown: readonly Signable[], by: Actor): Promise<void> {
  // model files are large, so they are read before the lock keeps others from writing
  for (const { model } of shown) if (model !== undefined) await readModelBytes(db, model.model, model.version, { unsigned: true })
  await db.kysely.transaction().execute(async (transaction) => {
    await lockRegistry(transaction)
    const definitions = shown.flatMap(({ definition }) => definition ?? [])
    const code = verifiedCode(await storedCode(transaction, definitions))
    const now = new Set((await unsignedContent(transaction, signing)).map(factsOf))
    const signed: string[] = []
    for (const each of shown) {
      if (!now.has(factsOf(each))) continue
      const { definition, model, what } = each
      if (definition !== undefined) {
        if ('code' in definition.spec && typeof definition.spec.code === 'string') code.textOf(definition.spec.code, what)
        await signDefinition(transaction, signing, definition)
      }
      if (model !== undefined) await signModel(transaction, signing, model)
      signed.push(what)
    }
    if (signed.length === 0) return
    await recordAudit({ kysely: transaction }, by, { action: 'sign', subject: 'registry', after: { signed } })
    await bumpRevision(transaction)
  })
}

function factsOf({ definition, model }: Signable): string {
  return JSON.stringify(definition === undefined ? model && modelFacts(model) : definitionFacts(definition))
}
