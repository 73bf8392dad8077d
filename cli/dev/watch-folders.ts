import type { FSWatcher } from 'node:fs'
import { watch } from 'node:fs'

/** How long files must rest: an editor writes a file in several steps. */
const restMs = 30

export interface FolderWatch {
  /** Watches these folders and no others. A missing one is left out. */
  follow(folders: readonly string[]): void
  close(): void
}

/** Calls `onChange` after files in the watched folders have changed. Some file systems do not report all changes. */
export function watchFolders(onChange: () => void): FolderWatch {
  const watchers = new Map<string, FSWatcher>()
  let timer: NodeJS.Timeout | undefined

  function soon(): void {
    clearTimeout(timer)
    timer = setTimeout(onChange, restMs)
  }

  function drop(folder: string): void {
    watchers.get(folder)?.close()
    watchers.delete(folder)
  }

  return {
    follow(folders) {
      for (const folder of watchers.keys()) if (!folders.includes(folder)) drop(folder)
      for (const folder of folders) {
        if (watchers.has(folder)) continue
        try {
          const watcher = watch(folder, { persistent: false }, soon)
          watcher.on('error', () => drop(folder))
          watchers.set(folder, watcher)
        } catch {
          // a missing folder
        }
      }
    },
    close() {
      clearTimeout(timer)
      for (const folder of watchers.keys()) drop(folder)
    },
  }
}
