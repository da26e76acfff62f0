import type { DemoOutput } from './demo-run.ts'

/** The page with this output in its blocks `spans` and `metrics`. Throws if the page has no such block. */
export function withOutput(page: string, output: DemoOutput): string {
  return (['spans', 'metrics'] as const).reduce((text, name) => {
    const block = new RegExp(`(<!-- ${name} of the demo -->\\n\`\`\`text\\n)[\\s\\S]*?(\\n\`\`\`)`)
    if (!block.test(text)) throw new Error(`The page has no block for the ${name} of the demo`)
    return text.replace(block, (_, before: string, after: string) => before + output[name] + after)
  }, page)
}

/** The output that a page has. */
export function outputOf(page: string): DemoOutput {
  const read = (name: string): string =>
    new RegExp(`<!-- ${name} of the demo -->\\n\`\`\`text\\n([\\s\\S]*?)\\n\`\`\``).exec(page)?.[1] ?? ''
  return { spans: read('spans'), metrics: read('metrics') }
}
