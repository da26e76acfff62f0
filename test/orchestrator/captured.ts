import { readFileSync } from 'node:fs'
import * as v from 'valibot'

const RowSchema = v.object({
  name: v.string(),
  port: v.optional(v.number()),
  request: v.object({
    method: v.picklist(['GET', 'POST', 'DELETE']),
    path: v.string(),
    body: v.unknown(),
  }),
  response: v.object({
    status: v.number(),
    contentType: v.nullable(v.string()),
    body: v.unknown(),
  }),
})

/** One request and what a real orchestrator answered. */
export type Row = v.InferOutput<typeof RowSchema> & { generation: Generation }
export type Generation = (typeof GENERATIONS)[number]

export const GENERATIONS = ['python-2025-10', 'python-2026-04', 'go-v1'] as const

export function rowsOf(generation: Generation): Row[] {
  const text = readFileSync(new URL(`../captures/${generation}.jsonl`, import.meta.url), 'utf8')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => ({ ...v.parse(RowSchema, JSON.parse(line)), generation }))
}

/** The body as it came over the wire. */
export function bodyText({ response }: Row): string {
  return response.contentType === 'application/json' ? JSON.stringify(response.body) : String(response.body)
}
