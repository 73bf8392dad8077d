import { lazyRouteComponent } from '@tanstack/react-router'
import { type ReactElement, useEffect } from 'react'
import { RequestError, read } from '../api/request.ts'
import { Page } from '../parts/page.tsx'
import { Empty } from '../parts/states.tsx'

/**
 * A page whose code loads when it is first opened. If that fails, the router reloads the document, as the server may
 * have pages of another version by now. While the server is down, the browser would replace the dashboard by a page of
 * its own, and all that was shown would be lost.
 */
export function lazyPage<Name extends string = 'default'>(
  load: () => Promise<Readonly<Record<Name, () => ReactElement>>>,
  name: Name = 'default' as Name,
) {
  return lazyRouteComponent(async () => {
    try {
      return { default: (await load())[name] }
    } catch (error) {
      if (await isServerUp()) throw error
      return { default: NotLoaded }
    }
  })
}

async function isServerUp(): Promise<boolean> {
  try {
    await read('session')
    return true
  } catch (error) {
    return !(error instanceof RequestError && error.isUnreachable)
  }
}

/** A browser does not load code again that it failed to load: only another document does. */
export async function reloadIfUp(): Promise<void> {
  if (await isServerUp()) location.reload()
}

const tryEveryMs = 3000

function NotLoaded(): ReactElement {
  useEffect(() => {
    void reloadIfUp()
    const timer = setInterval(() => void reloadIfUp(), tryEveryMs)
    return () => clearInterval(timer)
  }, [])
  return (
    <Page title="The server does not answer">
      <Empty title="This page was not opened before, so the browser does not have it">
        It opens as soon as the server answers. Pages that you have opened still show what they knew.
      </Empty>
    </Page>
  )
}
