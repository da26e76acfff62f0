/** The tables that compare this client with other ways to choose an engine. */
import type { Group } from './frame/row.ts'
import { severalProxiesLines } from './several-proxies.ts'
import { crowdLines } from './workload/crowd.ts'

export const comparison: Group = {
  title: 'Other ways to choose an engine',
  about: `In the first table 200 viewers come at once to 100 engines with a limit of 2, over loopback HTTP to a server that answers after 5
ms. The figures are those of the proxy's process, until all viewers play. One client reads the engines and counts the streams of each
engine for each viewer, as the Go client does. Another reads the engines once a second for all viewers, and counts nothing that is not in
that list. Both are in \`bench/workload/clients.ts\`. A viewer on an engine that is over its limit has a video that stops.

In the second table several proxies share 20 engines and no store, so none of them knows the viewers of the others. It runs on virtual
time and from seeds: the figures are the same on every machine.`,
  tables: [
    { id: 'crowd', title: '200 viewers who come at once to 100 engines', measure: crowdLines },
    {
      id: 'several-proxies',
      title: 'Streams on the fullest engine above the ideal, several proxies on 20 engines, 400 viewers in bursts of 20',
      measure: severalProxiesLines,
    },
  ],
}
