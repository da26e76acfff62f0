import type { Fault } from 'acestream-orchestrator-client/testing'

/** A fault, with its name for test titles. */
export type Case = readonly [name: string, fault: Omit<Fault, 'route'>]

/** Temporary faults: the request is retried and succeeds in the end. */
export const PASSING: readonly Case[] = [
  ['a connection that is refused', { kind: 'refused' }],
  ['a connection that breaks before the request is sent', { kind: 'reset' }],
  ['a connection that breaks after the request was applied', { kind: 'reset-after' }],
  ['a request that is lost', { kind: 'lost-request' }],
  ['an answer that is lost', { kind: 'lost-answer' }],
  ['an answer after the time-out', { kind: 'delay', delayMs: 4_000 }],
  ['a request that is applied after the time-out', { kind: 'delay', delayMs: 4_000, applyLate: true }],
  ['a slow body', { kind: 'delay', delayMs: 3_001 }],
  ['500', { kind: 'status', status: 500 }],
  ['502', { kind: 'status', status: 502 }],
  ['503', { kind: 'status', status: 503 }],
  ['503 with Retry-After', { kind: 'status', status: 503, headers: { 'retry-after': '2' } }],
  ['429', { kind: 'status', status: 429 }],
  ['truncated JSON', { kind: 'truncated' }],
  ['HTML', { kind: 'html', status: 200 }],
  ['an empty body', { kind: 'empty' }],
  ['a body of 16 MiB', { kind: 'oversized' }],
]

/** Permanent rejections: a start or an end with such an answer is never sent again. */
export const REFUSING: readonly Case[] = [
  ['401', { kind: 'status', status: 401 }],
  ['404', { kind: 'status', status: 404 }],
  ['422', { kind: 'status', status: 422 }],
]

/** A temporary fault too. The client never follows the redirect. */
export const REDIRECT: Case = ['a redirect to another host', { kind: 'redirect' }]

/** All faults. */
export const CASES: readonly Case[] = [...PASSING, ...REFUSING, REDIRECT]
