import type { JoinProgress } from '../offline/join.ts'
import type { Progress } from './progress.ts'
import type { Terminal } from './terminal.ts'
import { counted } from './text/human.ts'

/**
 * Shows the two halves of a join, one after the other: the lookup of the features in key order, then the output in the
 * spine's own order.
 */
export function createJoinProgress(terminal: Terminal, labels: Readonly<Record<JoinProgress['step'], string>>) {
  let step: JoinProgress['step'] = 'join'
  let bar: Progress = terminal.progress(labels.join, 'lookups')
  return {
    update(progress: JoinProgress): void {
      if (progress.step !== step) {
        bar.end()
        step = progress.step
        bar = terminal.progress(labels[step], step === 'join' ? 'lookups' : 'rows')
      }
      bar.update(progress.done, progress.total)
    },
    end(): void {
      bar.end()
    },
  }
}

/** Names the sources whose rows a join left out because they came after a transaction that was still open. */
export function heldBackNotes(heldBackRows: Readonly<Record<string, number>>): string[] {
  return Object.entries(heldBackRows).flatMap(([source, rows]) =>
    rows === 0
      ? []
      : [
          `note: ${counted(rows, 'row')} of "${source}" not read, because an older transaction is still open. Run this again when that transaction has ended.`,
        ],
  )
}
