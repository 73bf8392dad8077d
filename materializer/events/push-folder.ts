import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import { foldTransactions } from './fold-transactions.ts'
import type { NotKeptListener } from '../state-writer.ts'
import type { WitnessKeeperDeps } from '../witness-folds.ts'
import { createWitnessKeeper, foldedViews } from '../witness-folds.ts'

/** Folds the transactions of pushes into online states, and gives the views a witness soon after. */
export interface PushFolder {
  /**
   * @returns the continuous views whose next run folds the rows instead
   * @throws LockstepError as `foldTransactions`
   */
  fold(plans: readonly ViewPlan[], xids: readonly number[]): Promise<readonly DefinitionId[]>
  /** Gives the views that wait for a witness theirs now, unless a store does not answer. */
  close(): Promise<void>
}

export interface PushFolderDeps extends WitnessKeeperDeps {
  readonly onTooLarge: NotKeptListener
  readonly signal?: AbortSignal
}

export function createPushFolder({ database, store, log, onTooLarge, signal }: PushFolderDeps): PushFolder {
  const witnesses = createWitnessKeeper({ database, store, log })
  return {
    async fold(plans, xids) {
      const { left } = await foldTransactions(database(), store(), plans, xids, { signal, onTooLarge, log })
      witnesses.note(foldedViews(plans, left))
      return left
    },
    close: witnesses.close,
  }
}
