/** Writes the screens of the doctor into the page about troubleshooting. */
import { readFileSync, writeFileSync } from 'node:fs'
import { PAGE, rewritten } from './page.ts'

const path = new URL(`../../${PAGE}`, import.meta.url)
writeFileSync(path, await rewritten(readFileSync(path, 'utf8')))
