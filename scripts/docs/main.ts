// Builds the documentation site into `site/`, or into the folder that is named as argument.
import process from 'node:process'
import { buildSite } from './build.ts'

const [out = 'site'] = process.argv.slice(2)
await buildSite(out)
