import type { Removals } from '../../materializer/change-registry.ts'
import { counted } from './human.ts'

/** Lines about the states of retired views in the online store. */
export function removalsText({ removed, removing, foreign }: Removals): string[] {
  return [
    ...removed.map(({ view, removed: keys }) => `Deleted ${view} from the online store: ${counted(keys, 'key')}.`),
    ...removing.map(
      ({ view, removed: keys }) => `${view} is being deleted from the online store, ${counted(keys, 'key')} so far: a worker continues.`,
    ),
    ...foreign.map((view) => `note: the online store holds "${view}" of another database, which is not deleted`),
  ]
}
