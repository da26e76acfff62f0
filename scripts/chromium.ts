import process from 'node:process'
import { type Browser, chromium } from 'playwright-core'

/** Where Debian installs the package `chromium`. */
const DEFAULT_PATH = '/usr/bin/chromium'

/** Widths at which the status page must be readable: of a laptop, and of a phone. */
export const VIEWPORTS = { desktop: { width: 1_280, height: 900 }, phone: { width: 390, height: 844 } } as const

/** Starts a headless Chromium. `CHROMIUM` names another program than Debian's. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] || DEFAULT_PATH,
    // Its sandbox refuses to run as root, as in containers. It loads only pages of this repository.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  })
}
