import { alertsAndMonitors } from './alerts.ts'
import { dataPlane } from './data-plane.ts'
import type { Dashboard } from './dashboard.ts'
import { features } from './features.ts'
import { models } from './models.ts'
import { overview } from './overview.ts'

/** All dashboards. `node build/make-dashboards.ts` writes each as JSON for Grafana. */
export const dashboards: readonly Dashboard[] = [overview, features, models, dataPlane, alertsAndMonitors]
