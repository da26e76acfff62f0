import { html } from './html.ts'
import { enginesTable, renderSections } from './sections.ts'
import type { StatusState } from './state.ts'

/** Headers of all files of the page. Scripts, styles and connections of other origins are forbidden, and so are inline ones. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** Seconds after which a browser without JavaScript loads the page again. */
const RELOAD_S = 5

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect x='1' y='1' width='6' height='6' fill='%232f6fde'/%3E%3Crect x='9' y='1' width='6' height='6' fill='%232f6fde'/%3E%3Crect x='1' y='9' width='6' height='6' fill='%232f6fde'/%3E%3C/svg%3E"

/**
 * Renders the whole page. All its URLs are relative, so that it works behind every prefix. Without JavaScript it shows the state at the
 * time of the request.
 */
export function renderPage(state: StatusState, at: Date): string {
  const sections = renderSections(state)
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>AceStream proxy</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="${ICON}">
<link rel="stylesheet" href="status.css">
<noscript><meta http-equiv="refresh" content="${RELOAD_S}"></noscript>
<script src="status.js" type="module"></script>
</head>
<body>
<header>
<h1>AceStream proxy</h1>
<p id="connection" role="status">As of ${at.toISOString().slice(11, 19)} UTC</p>
</header>
<main>
<section class="overview-section" aria-label="Overview"><div id="summary">`
  return [
    page.text,
    sections.summary,
    '</div></section>\n',
    section('engines', 'Engines', sections.engines, LEGEND, html`<noscript>${enginesTable(state)}</noscript>`.text),
    section('contents', 'Contents', sections.contents),
    section('waiting', 'Waiting viewers', sections.waiting),
    section('log', 'Last events', sections.log),
    '</main>\n<footer><p>All times are UTC.</p></footer>\n</body>\n</html>\n',
  ].join('')
}

const LEGEND = `<p class="legend" aria-hidden="true"><span><i class="slot own"></i> this proxy</span> <span><i class="slot reserved"></i> opening</span> <span><i class="slot other"></i> another proxy</span> <span><i class="slot free"></i> free</span></p>`

function section(id: string, title: string, content: string, beside = '', after = ''): string {
  return `<section class="${id}-section" aria-labelledby="${id}-title"><div class="head"><h2 id="${id}-title">${title}</h2>${beside}</div><div id="${id}">${content}</div>${after}</section>\n`
}
