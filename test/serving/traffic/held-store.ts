import type { World } from '../world.ts'

/** A store whose reads of entities wait until they are released. */
export function heldStore(of: World) {
  let letGo: () => void = () => undefined
  const gone = new Promise<void>((resolve) => (letGo = resolve))
  let reading = 0
  return {
    letGo: () => letGo(),
    reading: () => reading,
    store: async () => {
      const store = of.openStore()
      return {
        ...store,
        async read(...[keys, how]: Parameters<typeof store.read>) {
          if (keys[0]?.entity === 'airport') {
            reading++
            await gone
          }
          return store.read(keys, how)
        },
      }
    },
  }
}
