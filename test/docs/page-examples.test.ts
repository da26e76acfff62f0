import * as library from 'acestream-orchestrator-client'
import { expect, it } from 'vitest'
import { type CodeBlock, fencedBlocks } from './code-blocks.ts'
import { read } from './pages.ts'
import { runBlock } from './run-block.ts'

/** The first block of TypeScript of a page that contains `text`. */
function blockOf(path: string, text: string): CodeBlock {
  const block = fencedBlocks({ path, text: read(path) }).find(({ code, language }) => language === 'ts' && code.includes(text))
  if (block === undefined) throw new Error(`no block of ${path} contains ${text}`)
  return block
}

it('the 503 example of the reference answers a CapacityError with whole seconds and the reason, and does not answer other errors', async () => {
  const answers: unknown[] = []
  const response = {
    writeHead: (status: number, headers: Record<string, unknown>) => ({ end: (body: string) => answers.push({ status, headers, body }) }),
  }
  const full = new library.CapacityError('full', { reason: 'full', retryAfterMs: 1_200, shouldWait: true, canRetry: true })
  for (const error of [full, new library.ClientClosedError('closed'), undefined]) {
    await runBlock(blockOf('docs/reference.md', '503'), {
      modules: { 'acestream-orchestrator-client': library },
      globals: { error, response },
    })
  }
  expect(answers).toEqual([{ status: 503, headers: { 'retry-after': '2' }, body: 'full' }])
})
