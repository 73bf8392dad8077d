import { counted } from './human.ts'

/** Says of which sources a join left out rows that came behind a transaction which was still open. */
export function heldBackNotes(heldBackRows: Readonly<Record<string, number>>): string[] {
  return Object.entries(heldBackRows).flatMap(([source, rows]) =>
    rows === 0
      ? []
      : [
          `note: ${counted(rows, 'row')} of "${source}" not read, because an older transaction is still open. Run this again when that transaction has ended.`,
        ],
  )
}
