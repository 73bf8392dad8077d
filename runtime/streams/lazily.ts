/** Something that is opened when it is first used. */
interface Lazy<T> {
  /** Opens it, or gives what is open. After a failure the next call tries again. @throws what opening throws */
  open(): Promise<T>
  /** null: it was not used, or could not be opened. */
  opened(): Promise<T | null>
}

export function lazily<T>(load: () => Promise<T>): Lazy<T> {
  let opening: Promise<T> | null = null
  return {
    open() {
      opening ??= load().catch((error: unknown) => {
        opening = null
        throw error
      })
      return opening
    },
    opened: async () => (await opening?.catch(() => null)) ?? null,
  }
}
