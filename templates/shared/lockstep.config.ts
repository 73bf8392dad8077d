import { defineConfig } from 'lockstep'

// What holds for everybody who works on this project. Environment variables and .env override it.
export default defineConfig({
  definitions: 'features.ts',
  trainers: 'trainers',
})
