import { MantineProvider, createTheme } from '@mantine/core'
import { Notifications } from '@mantine/notifications'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { queryClient } from './api/query-client.ts'
import { router } from './router.tsx'
import { Gate } from './shell/gate.tsx'

const theme = createTheme({
  primaryColor: 'indigo',
  respectReducedMotion: true,
  cursorType: 'pointer',
  components: {
    Anchor: { defaultProps: { inherit: true, underline: 'always' } },
    Chip: { defaultProps: { variant: 'light' } },
    EmptyState: { defaultProps: { align: 'left', size: 'sm' } },
    SegmentedControl: { defaultProps: { size: 'xs', transitionDuration: 0 } },
    Table: { defaultProps: { highlightOnHover: true } },
    TableScrollContainer: { defaultProps: { type: 'native' } },
    // a header element outside of an article or a section would be a second banner of the page
    ModalHeader: { defaultProps: { component: 'div' } },
    DrawerHeader: { defaultProps: { component: 'div' } },
    // it would add a style tag, which the content security policy forbids: shell.css locks the scroll
    Modal: { defaultProps: { lockScroll: false, centered: true, transitionProps: { duration: 0 } } },
    Drawer: { defaultProps: { lockScroll: false, transitionProps: { duration: 0 } } },
  },
})

const root = document.querySelector('#root')
if (root === null) throw new Error('The page has no "#root".')
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
      <QueryClientProvider client={queryClient}>
        <Gate>
          <RouterProvider router={router} />
        </Gate>
        <Notifications position="bottom-right" />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
)
