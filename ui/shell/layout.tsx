import { ActionIcon, Drawer, Kbd, Tooltip, UnstyledButton, useComputedColorScheme, useMantineColorScheme } from '@mantine/core'
import { useDisclosure, useHotkeys } from '@mantine/hooks'
import { Outlet } from '@tanstack/react-router'
import { type ReactElement, Suspense, lazy, useEffect, useState } from 'react'
import { useSigning } from '../api/session.ts'
import { Announcer } from './announcer.tsx'
import { AsOfControl } from './as-of-control.tsx'
import { Banners } from './banners.tsx'
import { Icon } from './icon.tsx'
import { reloadIfUp } from './lazy-page.tsx'
import { Navigation } from './navigation.tsx'
import { SkeletonPage } from '../parts/states.tsx'

/** While the server is down, its code cannot be loaded: the banner says so, and the pages stay. */
const Palette = lazy(() => import('./palette.tsx').catch(() => ({ default: NoPalette })))
const isMac = navigator.userAgent.includes('Mac')

/** The frame of all pages. */
export function Layout(): ReactElement {
  const [menu, { open, close }] = useDisclosure(false)
  // the palette loads when it is first opened
  const [searches, setSearches] = useState(0)
  const search = (): void => setSearches((count) => count + 1)
  useHotkeys([['mod+K', search]], [])
  return (
    <>
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <div className="shell">
        <nav className="side" aria-label="Pages">
          <Navigation />
        </nav>
        <div>
          <header className="top">
            <ActionIcon className="burger" variant="subtle" size={36} aria-label="Menu" onClick={open}>
              <Icon name="menu" size={20} />
            </ActionIcon>
            <UnstyledButton className="search-button" onClick={search}>
              <Icon name="search" size={16} />
              <span>Search everything</span>
              <Kbd>{isMac ? '⌘' : 'Ctrl'} K</Kbd>
            </UnstyledButton>
            <div className="top-end">
              <AsOfControl />
              <SchemeButton />
              <SignOutButton />
            </div>
          </header>
          <Banners />
          <main id="main" className="main" tabIndex={-1}>
            <Suspense fallback={<SkeletonPage />}>
              <Outlet />
            </Suspense>
          </main>
        </div>
      </div>
      <Drawer opened={menu} onClose={close} size={260} title="Pages" closeButtonProps={{ 'aria-label': 'Close the menu' }}>
        <Navigation onChoose={close} />
      </Drawer>
      <Announcer />
      {searches > 0 && (
        <Suspense fallback={null}>
          <Palette openings={searches} />
        </Suspense>
      )}
    </>
  )
}

/** Once the server answers, the next try to open the search loads the document again, and with it the search. */
function NoPalette({ openings }: { readonly openings: number }): ReactElement {
  useEffect(() => void reloadIfUp(), [openings])
  return <></>
}

function SchemeButton(): ReactElement {
  // to stop transitions, Mantine would add a style tag, which the content security policy forbids
  const { setColorScheme } = useMantineColorScheme({ keepTransitions: true })
  const dark = useComputedColorScheme('light') === 'dark'
  const label = dark ? 'Use light colours' : 'Use dark colours'
  return (
    <Tooltip label={label} openDelay={400}>
      <ActionIcon variant="subtle" size={34} aria-label={label} onClick={() => setColorScheme(dark ? 'light' : 'dark')}>
        <Icon name="sun" />
      </ActionIcon>
    </Tooltip>
  )
}

function SignOutButton(): ReactElement {
  const { signOut } = useSigning()
  return (
    <Tooltip label="Log out" openDelay={400}>
      <ActionIcon variant="subtle" size={34} aria-label="Log out" onClick={() => void signOut()}>
        <Icon name="out" />
      </ActionIcon>
    </Tooltip>
  )
}
