import { counted } from './human.ts'

/** Says of which sources a join left out rows that came behind a transaction which was still open. */
export function heldBackNotes(heldBackRows: Readonly<Record<string, number>>): string[] {
  return Object.entries(heldBackRows).flatMap(([source, rows]) =>
    rows === 0
      ? []
      : [
          `note: ${counted(rows, 'row')} of "${source}" not read, behind a transaction that is still open; run this again once it has ended`,
        ],
  )
}
